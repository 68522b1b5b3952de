/** What a user's application is asked to do: one step of a program that is going to be crashed. */
import type fc from 'fast-check';

export interface Command<App, Model> {
  /** How it is told of in messages. */
  toString(): string;
  /** False where it makes no sense now: it is left out. */
  check?(model: Model): boolean | Promise<boolean>;
  /**
   * Asks the application, and keeps the model: what is going to be asked for, before; what was promised, as soon as it
   * was. An error that belongs to the application's answers is caught here; one that leaves is a failure.
   */
  run(app: App, model: Model): unknown;
}

/**
 * Commands that take an argument: `command('deposit', fc.nat(100), async (app, amount, model) => …)`, told of as
 * `deposit(42)`. For one without an argument: `fc.constant(undefined)`.
 */
export function command<App, Argument, Model>(
  name: string,
  argument: fc.Arbitrary<Argument>,
  run: (app: App, argument: Argument, model: Model) => unknown,
): fc.Arbitrary<Command<App, Model>> {
  return argument.map((value) => ({
    toString: () => `${name}(${value === undefined ? '' : shown(value)})`,
    run: (app: App, model: Model) => run(app, value, model),
  }));
}

const SHOWN_MAX = 100;

function shown(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (part instanceof Uint8Array) return `${part.length} bytes`;
    return typeof part === 'bigint' ? `${part}n` : part;
  });
  if (text === undefined) return String(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}
