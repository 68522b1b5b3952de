/** The shop of the crash test: what is left of each product, for the process that is killed and for its judge. */
import { inMemorySingleStreamProjection } from '@event-driven-io/emmett';

export const PRODUCTS = ['a', 'b', 'c'];

/** @typedef {{ type: string, data: { id: number, count: number } }} StockEvent */

export const initialState = () => ({ left: 0 });

/** @param {{ left: number }} state @param {StockEvent} event */
export function evolve(state, { type, data }) {
  if (type === 'Restocked') return { left: state.left + data.count };
  if (type === 'Reserved') return { left: state.left - data.count };
  return state;
}

/** The same as documents. */
export const stock = inMemorySingleStreamProjection({
  canHandle: ['Restocked', 'Reserved'],
  collectionName: 'stock',
  initialState,
  evolve: /** @type {never} */ (
    /** @param {{ left: number }} document @param {StockEvent} event */
    (document, event) => ({ ...document, ...evolve(document, event) })
  ),
});
