/** Segments change in the wrong order. */
const faults = ['test/integration/faults.test.ts'];
const crashes = ['test/property/crash-states.test.ts'];

/** @type {import('../mutant.js').Mutant[]} */
export const rotation = [
  {
    id: 'published-before-seal-durable',
    breaks: 'The new segment counts before the old one is durable: a hole after a crash.',
    file: 'src/partition/rotation.ts',
    search: '!change.sealDurable || ',
    replace: '',
    tests: crashes,
  },
  {
    id: 'published-before-named',
    breaks: 'The new segment counts before it has its name.',
    file: 'src/partition/rotation.ts',
    search: '|| !change.named ',
    replace: '',
    tests: [...faults, ...crashes],
  },
  {
    id: 'named-before-seal-durable',
    breaks: 'The new segment gets its name while the open frame of the old one is not durable.',
    file: 'src/partition/rotation.ts',
    search: 'const nameNow = tail.writer === undefined || tail.opened;',
    replace: 'const nameNow = true;',
    tests: crashes,
  },
  {
    id: 'open-frame-not-held-back',
    breaks: 'A segment is open, for recovery, before the one before it is sealed and durable.',
    file: 'src/partition/tail.ts',
    search: 'this.opened = this.writer.published;',
    replace: 'this.opened = this.writer.published;\n    this.writer.publish();',
    tests: ['test/unit/tail.test.ts', ...crashes],
  },
  {
    id: 'opened-by-seal-of-old',
    breaks: 'The sync of the old segment counts as one of the new segment’s open frame.',
    file: 'src/partition/tail.ts',
    search: 'if (run.writer === this.writer) this.opened = true;',
    replace: 'this.opened = true;',
    tests: ['test/unit/tail.test.ts', ...crashes],
  },
  {
    id: 'seal-not-final',
    breaks: 'A segment that is left ends in a mark behind which one may go on.',
    file: 'src/partition/tail.ts',
    search: 'old.seal(true, ',
    replace: 'old.seal(false, ',
    tests: ['test/unit/streams/record-stream.test.ts'],
  },
  {
    id: 'mark-without-room',
    breaks: 'A clean close writes its mark where the final seal had its room.',
    file: 'src/partition/live-partition.ts',
    search: 'writer.seal(!writer.canMark,',
    replace: 'writer.seal(false,',
    tests: ['test/property/model.test.ts', ...crashes],
  },
  {
    id: 'index-not-counted-up',
    breaks: 'A new segment has the index, and the name, of the one before it.',
    file: 'src/partition/rotation.ts',
    search: '(this.#host.catalogue.newest?.index ?? this.previous.index) + 1',
    replace: '(this.#host.catalogue.newest?.index ?? this.previous.index) || 1',
    tests: ['test/unit/streams/record-stream.test.ts'],
  },
  {
    id: 'rotation-forgets-sync',
    breaks: 'What was appended to a new segment before it was published is never synced.',
    file: 'src/partition/rotation.ts',
    search: 'if (this.#host.syncWanted) this.#host.askSync();\n    intake.drain();\n    this.prepareAhead();',
    replace: 'intake.drain();\n    this.prepareAhead();',
    tests: ['test/unit/durability.test.ts'],
  },
  {
    id: 'old-segment-not-closed',
    breaks: 'The file of a segment that is left stays open.',
    file: 'src/partition/rotation.ts',
    search: 'this.#leave(old);',
    replace: '',
    tests: ['test/property/races.test.ts'],
  },
];
