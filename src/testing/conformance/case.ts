/** Cases of a conformance suite: named, independent of each other and of any test runner. */

export interface ConformanceCase {
  readonly name: string;
  /** Resolves if the implementation conforms. Does nothing where the case is skipped. */
  run(): Promise<void>;
  /** Why the case does not apply to this implementation. */
  readonly skipped?: string;
}

/** What Jest, Vitest, Mocha (`{ test: it }`), node:test and Bun have in common. */
export interface TestRunner {
  readonly test: ((name: string, run: () => Promise<void>) => unknown) & {
    readonly skip: (name: string, run: () => Promise<void>) => unknown;
  };
}

/** Registers each case as a test. Skipped ones are registered as skipped, with the reason behind their names. */
export function registerCases(cases: readonly ConformanceCase[], { test }: TestRunner): void {
  for (const { name, run, skipped } of cases) {
    if (skipped === undefined) test(name, run);
    else test.skip(`${name} (${skipped})`, run);
  }
}

/** What a suite is made of: a check on a fresh subject, and, where it is not for all, why it does not apply to some. */
export interface Check<Subject> {
  readonly name: string;
  readonly check: (subject: Subject) => Promise<void>;
  /** Why it does not apply; undefined where it does. */
  readonly skipped?: string | undefined;
}

/** Makes cases of checks. Each gets a subject of its own, which is closed behind it. */
export function casesOf<Subject extends { close(): Promise<void> }>(
  checks: readonly Check<Subject>[],
  make: () => Subject | Promise<Subject>,
): ConformanceCase[] {
  return checks.map(({ name, check, skipped }) => ({
    name,
    ...(skipped === undefined ? {} : { skipped }),
    run: async () => {
      if (skipped !== undefined) return;
      const subject = await make();
      try {
        await check(subject);
      } finally {
        await subject.close();
      }
    },
  }));
}

/** All that an iteration gives. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

/** The error that a promise rejects with. Throws `message` if it does not. */
export async function rejection(promise: Promise<unknown>, message: string): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error(message);
}
