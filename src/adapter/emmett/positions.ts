/**
 * Positions as Emmett's versions want them: 0.42 as bigints, 0.43 as texts of 19 digits that sort as the positions do.
 *
 * Stream positions are bigints in both. They begin at 1n, where the store's revisions begin at 0n; 0n is "no stream".
 */
import type { BigIntGlobalPosition, Brand, ReadEventMetadataWithGlobalPosition } from '@event-driven-io/emmett';
import { invalid } from '../../options.js';
import { checkPosition, formatPosition, parsePosition } from '../event-store/position.js';

/** The version of Emmett whose positions are wanted. */
export type EmmettApi = '0.42' | '0.43';

/** A global position as Emmett 0.43 takes it: 19 digits, padded with zeros. */
export type TextPosition = Brand<string, 'ProcessorCheckpoint'>;

/** What global positions and checkpoints are. */
export type PositionOf<Api extends EmmettApi> = Api extends '0.43' ? TextPosition : BigIntGlobalPosition;

/** What is told with each event that is read. `checkpoint` is the global position, in the API of 0.43 only. */
export type VarveReadEventMetadata<Api extends EmmettApi = '0.42'> = ReadEventMetadataWithGlobalPosition<
  PositionOf<Api>
> &
  (Api extends '0.43' ? { readonly checkpoint: TextPosition } : unknown);

export type AnyPosition = bigint | string;

/** How positions are told and taken. */
export interface PositionStyle {
  readonly api: EmmettApi;
  /** As it is told. */
  of(position: bigint): AnyPosition;
  /** What was told, or `ERR_VARVE_INVALID_OPTION` for `option`. */
  parse(position: unknown, option: string): bigint;
}

export const styles: Readonly<Record<EmmettApi, PositionStyle>> = {
  '0.42': {
    api: '0.42',
    of: (position) => position,
    parse(position, option) {
      if (typeof position !== 'bigint') throw invalid(option, position, 'a bigint, as it was read');
      return checkPosition(position);
    },
  },
  '0.43': {
    api: '0.43',
    of: formatPosition,
    parse(position, option) {
      if (typeof position !== 'string') throw invalid(option, position, 'a text of 19 digits, as it was read');
      return parsePosition(position);
    },
  },
};
