/**
 * Purging and rewinding both change which files a partition has: one after the other, in the order in which they begin.
 */
export class FileWork {
  #last: Promise<void> = Promise.resolve();

  /** Does the work when all that was begun before is done. It must not reject. */
  run(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work);
    return this.#last;
  }

  /** Resolves when everything is done that was begun, also meanwhile. */
  async done(): Promise<void> {
    for (let last: unknown; last !== this.#last; ) {
      last = this.#last;
      await last;
    }
  }
}
