/** The module: that of @nestjs/cqrs, with its events on the event store. */
import { type DynamicModule, Inject, type ModuleMetadata, type Provider, type Type } from '@nestjs/common';
import { CqrsModule, EventBus, UnhandledExceptionBus } from '@nestjs/cqrs';
import { checkPeer } from '../installed-peer.js';
import { checkOptions, type VarveCqrsOptions } from './options.js';
import { VarveEvents } from './varve-events.js';

for (const name of ['@nestjs/common', '@nestjs/cqrs']) checkPeer(name, ['11.0', '12.0']);

const OPTIONS = Symbol('VarveCqrsOptions');

/** Options that are not known before other providers are there. */
export interface VarveCqrsAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  inject?: readonly unknown[];
  // biome-ignore lint/suspicious/noExplicitAny: what is injected
  useFactory: (...injected: any[]) => VarveCqrsOptions | Promise<VarveCqrsOptions>;
  /** Options of CqrsModule itself. */
  cqrs?: VarveCqrsOptions['cqrs'];
}

/** Without its static methods: those of this module take other options. */
const Base: Type<CqrsModule> = CqrsModule;

/**
 * ```ts
 * VarveCqrsModule.forRoot({ store: { directory: './data' }, events: [OrderPlaced] })      // in place of CqrsModule.forRoot()
 * ```
 *
 * It inherits what CqrsModule provides: the buses, and registering handlers and sagas with them. Global, like that.
 */
export class VarveCqrsModule extends Base {
  declare readonly varveEvents: VarveEvents;
  declare readonly varveEventBus: EventBus;

  /** Throws `ERR_VARVE_INVALID_OPTION`. */
  static forRoot(options: VarveCqrsOptions): DynamicModule {
    checkOptions(options);
    return dynamicModule({ provide: OPTIONS, useValue: options }, options.cqrs);
  }

  /** As `forRoot`, with what a factory makes; bad options end the start of the application. */
  static forRootAsync({ imports = [], inject = [], useFactory, cqrs }: VarveCqrsAsyncOptions): DynamicModule {
    return { ...dynamicModule({ provide: OPTIONS, useFactory, inject: [...inject] as never }, cqrs), imports };
  }

  override onApplicationBootstrap(): void {
    super.onApplicationBootstrap(); // registers handlers: from here on events find them
    this.varveEvents.bridgeEventsTo(this.varveEventBus.subject$);
  }
}
Inject(VarveEvents)(VarveCqrsModule.prototype, 'varveEvents');
Inject(EventBus)(VarveCqrsModule.prototype, 'varveEventBus');

function dynamicModule(options: Provider, cqrs: VarveCqrsOptions['cqrs']): DynamicModule {
  const base = CqrsModule.forRoot(cqrs);
  const events: Provider = {
    provide: VarveEvents,
    useFactory: VarveEvents.open,
    inject: [OPTIONS, EventBus, UnhandledExceptionBus],
  };
  return {
    ...base,
    module: VarveCqrsModule,
    providers: [...(base.providers ?? []), options, events],
    exports: [VarveEvents],
  };
}
