/**
 * Machines by chance: nested, parallel and history states, final ones, delayed events, guards, invoked and spawned
 * children of several kinds. A plan is plain data, so that fast-check can shrink and print it; `buildMachine` makes the
 * machine of it. What it does to the world goes to a `World`, so the same plan can be run in several.
 *
 * Whatever the plan, an event leads to a stable state: what raises events is not raised itself, `always` only goes
 * forward, and states that are done lead neither to final states nor into the past.
 */
import fc from 'fast-check';
import {
  type AnyActorRef,
  type AnyEventObject,
  type AnyStateMachine,
  assign,
  cancel,
  emit,
  enqueueActions,
  fromCallback,
  fromPromise,
  fromTransition,
  raise,
  sendParent,
  sendTo,
  setup,
} from 'xstate';

/** What machines do, and ask for. */
export interface World {
  /** An action was carried out. */
  note(what: string): unknown;
  /** A promise is wanted by the child at this path. */
  job(path: string): Promise<unknown>;
  /** A callback began; it is told what the callback gets, and may send to the machine. */
  callback(path: string, sendBack: (event: AnyEventObject) => void): (event: AnyEventObject) => void;
}

const EVENTS = ['E0', 'E1', 'E2', 'E3'] as const;
const GUARDS = ['even', 'odd', 'third', 'young'] as const;
const ACTIONS = [
  ...['note', 'note', 'slow', 'inc', 'inc', 'keep', 'emit', 'later', 'unlater', 'selfLater'],
  ...['spawn', 'spawnAdder', 'pingKids', 'stopKid'],
] as const;
/** Those that may stand where a raised event leads to, too. */
const INVOKED = ['job', 'kid', 'echo', 'adder'] as const;

type Action = (typeof ACTIONS)[number] | 'raise';

interface Transition {
  /** One of the states that may be entered; undefined: it stays. */
  readonly target: number | undefined;
  readonly guard: (typeof GUARDS)[number] | undefined;
  readonly actions: readonly Action[];
  readonly reenter: boolean;
}

interface StatePlan {
  readonly kind: 'atomic' | 'compound' | 'parallel';
  readonly children: readonly StatePlan[];
  readonly final: boolean;
  readonly history: 'shallow' | 'deep' | undefined;
  readonly on: Readonly<Record<string, Transition>>;
  readonly after: readonly { readonly delay: number; readonly transition: Transition }[];
  /** To a later state of the same parent. */
  readonly always: { readonly forward: number; readonly guard: (typeof GUARDS)[number] } | undefined;
  readonly onDone: Transition | undefined;
  readonly entry: readonly Action[];
  readonly exit: readonly Action[];
  readonly tag: boolean;
  readonly invoke: { readonly src: (typeof INVOKED)[number]; readonly onDone: Transition } | undefined;
}

export type MachineModel = StatePlan;

const actions = fc.array(fc.constantFrom<Action[]>(...ACTIONS), { maxLength: 3 });
const onActions = fc.array(fc.constantFrom<Action[]>(...ACTIONS, 'raise'), { maxLength: 3 });
const guard = fc.option(fc.constantFrom(...GUARDS), { nil: undefined, freq: 2 });
const transition = (what: fc.Arbitrary<Action[]>): fc.Arbitrary<Transition> =>
  fc.record({
    target: fc.option(fc.nat(30), { nil: undefined, freq: 5 }),
    guard,
    actions: what,
    reenter: fc.boolean(),
  });
const sometimes = <T>(arbitrary: fc.Arbitrary<T>, freq = 1) => fc.option(arbitrary, { nil: undefined, freq });

const { state } = fc.letrec<{ state: StatePlan; leaf: StatePlan; inner: StatePlan }>((tie) => {
  const common = {
    on: fc.dictionary(fc.constantFrom(...EVENTS), transition(onActions), { maxKeys: 4, minKeys: 1 }),
    after: fc.array(fc.record({ delay: fc.constantFrom(10, 20, 25, 50, 100), transition: transition(actions) }), {
      maxLength: 2,
    }),
    always: sometimes(fc.record({ forward: fc.nat(3), guard: fc.constantFrom(...GUARDS) })),
    onDone: sometimes(transition(actions)),
    entry: actions,
    exit: actions,
    tag: fc.boolean(),
    invoke: sometimes(fc.record({ src: fc.constantFrom(...INVOKED), onDone: transition(actions) })),
  };
  return {
    leaf: fc.record({
      ...common,
      kind: fc.constant('atomic' as const),
      children: fc.constant([]),
      final: fc.constant(false),
      history: fc.constant(undefined),
    }),
    inner: fc.record({
      ...common,
      kind: fc.constantFrom('compound' as const, 'compound' as const, 'parallel' as const),
      children: fc.array(tie('state'), { minLength: 2, maxLength: 3 }),
      final: fc.boolean(),
      history: sometimes(fc.constantFrom('shallow' as const, 'deep' as const), 2),
    }),
    state: fc.oneof({ maxDepth: 3, depthSize: 'medium' }, tie('leaf'), tie('inner')),
  };
});

export const machineModel: fc.Arbitrary<MachineModel> = fc
  .tuple(state, fc.array(state, { minLength: 2, maxLength: 3 }), fc.boolean(), fc.boolean())
  .map(([top, children, final, parallel]) => ({
    ...top,
    kind: parallel ? ('parallel' as const) : ('compound' as const),
    children,
    // A machine that is over soon shows little.
    final: final && children.length > 2,
    onDone: undefined,
    always: undefined,
    // XState forgets the root's own tags when a history state of it is entered, and knows them again once restored.
    tag: false,
  }));

export const eventType: fc.Arbitrary<string> = fc.constantFrom(...EVENTS, 'PING');

/** Path of a child in its tree: '/a/b'; '' is the root. */
export function pathOf(actor: AnyActorRef): string {
  const { _parent: parent, id } = actor as unknown as { _parent: AnyActorRef | undefined; id: string };
  return parent === undefined ? '' : `${pathOf(parent)}/${encodeURIComponent(id)}`;
}

interface Context {
  readonly count: number;
  readonly last: unknown;
  readonly kids: readonly AnyActorRef[];
  readonly born: number;
}

function children(world: World) {
  const job = fromPromise<unknown, unknown>(({ self }) => world.job(pathOf(self)));
  const adder = fromTransition(
    (sum: { n: number }, event: { type: string }) => (event.type === 'PING' ? { n: sum.n + 1 } : sum),
    { n: 0 },
  );
  const echo = fromCallback(({ self, sendBack, receive }) => {
    receive(world.callback(pathOf(self), sendBack));
  });
  const kid = setup({
    actors: { job },
    actions: { note: ({ self, event }) => world.note(`${pathOf(self)} kid ${event.type} ${event.n ?? ''}`) },
  }).createMachine({
    context: { pings: 0 },
    initial: 'a',
    entry: 'note',
    on: {
      PING: { actions: [assign({ pings: ({ context }) => context.pings + 1 }), 'note', sendParent({ type: 'PONG' })] },
    },
    states: {
      a: { after: { 35: 'b' } },
      b: {
        entry: ['note', sendParent({ type: 'E1', n: 'kid' })],
        invoke: { src: 'job', onDone: 'c', onError: 'c' },
        after: { 80: 'c' },
      },
      c: { type: 'final', entry: 'note' },
    },
    output: ({ context }) => context.pings,
  });
  return { job, adder, echo, kid };
}

/** The machine of a plan. */
export function buildMachine(model: MachineModel, world: World): AnyStateMachine {
  const builder = setup({
    types: {} as { context: Context; events: AnyEventObject },
    actors: children(world),
    guards: {
      even: ({ context }) => context.count % 2 === 0,
      odd: ({ context }) => context.count % 2 === 1,
      third: ({ event }) => typeof event.n !== 'number' || event.n % 3 > 0,
      young: ({ context }) => context.count < 6,
    },
    actions: {
      note: ({ self, event, context }, { at }: { at: string }) =>
        void world.note(`${pathOf(self)} ${at} ${event.type} ${event.n ?? ''} ${context.count}`),
      slow: ({ event, context }, { at }: { at: string }) =>
        world.note(`slow ${at} ${event.type} ${event.n ?? ''} ${context.count}`),
      inc: assign({ count: ({ context }) => context.count + 1 }),
      keep: assign({ last: ({ event }) => ({ type: event.type, n: event.n, output: event.output }) }),
      emit: emit(({ event, context }) => ({ type: 'EMITTED', n: event.n, count: context.count })),
      raise: raise(({ event }) => ({ type: 'RAISED', n: event.n })),
      // Not where a delayed event has led to: they would become more and more.
      later: enqueueActions(({ event, enqueue }) => {
        if (typeof event.n === 'number') enqueue.raise({ type: 'E2', n: 'later' }, { delay: 30, id: 'later' });
      }),
      unlater: cancel('later'),
      selfLater: enqueueActions(({ self, event, enqueue }) => {
        if (typeof event.n === 'number') enqueue.sendTo(self, { type: 'E3', n: 'self' }, { delay: 40 });
      }),
      spawn: assign(({ context: { kids, born }, spawn }) =>
        born > 7 ? {} : { kids: [...kids, spawn('kid', { id: `kid ${born}` })], born: born + 1 },
      ),
      spawnAdder: assign(({ context: { kids, born }, spawn }) =>
        born > 7
          ? {}
          : { kids: [...kids, spawn('adder', { id: `adder ${born}`, syncSnapshot: true })], born: born + 1 },
      ),
      pingKids: enqueueActions(({ context, enqueue }) => {
        for (const kid of context.kids) enqueue.sendTo(kid, { type: 'PING' });
      }),
      stopKid: enqueueActions(({ context, enqueue }) => {
        const kid = context.kids.at(-1);
        if (kid === undefined) return;
        enqueue.stopChild(kid);
        enqueue.assign({ kids: context.kids.slice(0, -1) });
      }),
    },
  });
  const { config } = new Writer(model);
  return builder.createMachine({
    ...config,
    context: { count: 0, last: null, kids: [], born: 0 },
    on: {
      ...config.on,
      PONG: { actions: 'inc' },
      ECHO: { actions: ['keep', { type: 'note', params: { at: 'echo' } }] },
    },
  } as never) as unknown as AnyStateMachine;
}

type Config = Record<string, unknown> & { on?: Record<string, unknown> };

/** Gives each state its name, and each transition a state that exists. */
class Writer {
  readonly config: Config;
  readonly #names = new Map<object, string>();
  /** By name: those that may be entered; those that a finished state may lead to. */
  readonly #targets: string[] = [];
  readonly #safe: string[] = [];
  #made = 0;

  constructor(model: StatePlan) {
    this.#name(model);
    this.#targets.shift();
    this.#safe.shift();
    this.config = this.#state(model);
  }

  #name(plan: StatePlan): void {
    const name = `s${this.#made++}`;
    this.#names.set(plan, name);
    this.#targets.push(name);
    this.#safe.push(name);
    for (const child of plan.children) this.#name(child);
    if (plan.final && plan.kind === 'compound') this.#targets.push(`${name}.final`);
    if (plan.history !== undefined && plan.kind !== 'atomic') this.#targets.push(`${name}.past`);
  }

  #nameOf(plan: StatePlan): string {
    return this.#names.get(plan) as string;
  }

  #state(plan: StatePlan): Config {
    const name = this.#nameOf(plan);
    const { kind, children, on, after, onDone, invoke } = plan;
    const config: Config = {
      id: name,
      entry: this.#actions(plan.entry, `entry ${name}`),
      exit: this.#actions(plan.exit, `exit ${name}`),
      tags: plan.tag ? [name] : [],
      on: {},
      after: {},
    };
    for (const [type, transition] of Object.entries(on)) {
      (config.on as Config)[type] = this.#transition(transition, `${name} ${type}`);
    }
    (config.on as Config).RAISED = { actions: this.#actions(['inc', 'note'], `${name} raised`) };
    for (const { delay, transition } of after) {
      (config.after as Config)[delay] = this.#transition(transition, `${name} after`);
    }
    if (kind !== 'atomic') {
      const states: Config = Object.fromEntries(
        children.map((child, i) => [this.#nameOf(child), this.#child(plan, child, i)]),
      );
      if (kind === 'parallel') config.type = 'parallel';
      else config.initial = this.#nameOf(children[0] as StatePlan);
      if (plan.final && kind === 'compound') states.final = { id: `${name}.final`, type: 'final' };
      if (plan.history !== undefined) states.past = { id: `${name}.past`, type: 'history', history: plan.history };
      config.states = states;
      if (onDone !== undefined && name !== 's0') config.onDone = this.#transition(onDone, `${name} done`, this.#safe);
    }
    if (invoke !== undefined) {
      const id = `${invoke.src}.${name}`;
      const done = this.#transition(invoke.onDone, `${name} result`);
      const failed = { actions: this.#actions(['keep', 'inc'], '') };
      config.invoke = { src: invoke.src, id, onDone: done, ...(name === 's0' ? {} : { onError: failed }) };
      if (invoke.src !== 'job') (config.on as Config).PING = { actions: sendTo(id, ({ event }) => event) };
    }
    return config;
  }

  #child(parent: StatePlan, plan: StatePlan, i: number): Config {
    const config = this.#state(plan);
    if (parent.kind !== 'compound' || plan.always === undefined) return config;
    const later = parent.children.slice(i + 1);
    const target = later[plan.always.forward % later.length];
    if (target !== undefined) config.always = { guard: plan.always.guard, target: `#${this.#nameOf(target)}` };
    return config;
  }

  #transition({ target, guard, actions, reenter }: Transition, at: string, targets = this.#targets): object {
    const name = target === undefined ? undefined : targets[target % targets.length];
    return {
      ...(name === undefined ? {} : { target: `#${name}` }),
      ...(guard === undefined ? {} : { guard }),
      actions: this.#actions(actions, at),
      reenter,
    };
  }

  #actions(actions: readonly Action[], at: string): object[] {
    return actions.map((type) => (type === 'note' || type === 'slow' ? { type, params: { at } } : { type }));
  }
}
