/** A Jest reporter that ends the run at the first test that fails, and writes to $VARVE_MUTANTS_REPORT what came of it. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

/** A test that did not end: by Jest's limit, or by one that the tests set themselves. */
const TIMED_OUT = /Exceeded timeout of|has not settled after/;

export default class FirstFailureReporter {
  /** @type {string | undefined} */
  #broken;

  /**
   * @param {{ path: string }} test
   * @param {{ status: string, fullName: string, failureMessages: string[] | null }} result
   */
  onTestCaseResult(test, { status, fullName, failureMessages }) {
    if (status !== 'failed') return;
    const what = `${path.relative(process.cwd(), test.path)} › ${fullName}`;
    report({ outcome: 'failed', what, timedOut: TIMED_OUT.test((failureMessages ?? []).join('\n')) });
    process.exit();
  }

  /**
   * @param {{ path: string }} test
   * @param {{ failureMessage?: string | null, numFailingTests: number }} result
   */
  onTestResult(test, { failureMessage, numFailingTests }) {
    if (!failureMessage || numFailingTests > 0) return;
    this.#broken ??= `${path.relative(process.cwd(), test.path)}: ${failureMessage.trim().slice(0, 300)}`;
  }

  /**
   * @param {unknown} _contexts
   * @param {{ numPassedTests: number }} results
   */
  onRunComplete(_contexts, { numPassedTests }) {
    const broken = this.#broken ?? (numPassedTests === 0 ? 'no test was run' : undefined);
    report(broken === undefined ? { outcome: 'passed' } : { outcome: 'broken', what: broken });
  }
}

/** @param {import('./workplace.js').TestRun} outcome */
function report(outcome) {
  writeFileSync(String(process.env.VARVE_MUTANTS_REPORT), JSON.stringify(outcome));
}
