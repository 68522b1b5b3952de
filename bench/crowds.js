/** Many waiters at once. */

/** How many, and the appends of each in a round. */
export const CROWDS = [
  { waiters: 1, appends: 300 },
  { waiters: 16, appends: 200 },
  { waiters: 64, appends: 150 },
  { waiters: 256, appends: 100 },
  { waiters: 1024, appends: 60 },
];

/**
 * So many waiters, each of which appends, awaits, and appends again. Appends per second of all.
 *
 * @param {number} waiters
 * @param {number} appends of each
 * @param {() => unknown} append
 */
export async function crowd(waiters, appends, append) {
  const waiter = async () => {
    for (let i = 0; i < appends; i++) await append();
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: waiters }, waiter));
  return (waiters * appends * 1000) / (performance.now() - started);
}

/** @param {number} waiters */
export const namedCrowd = (waiters) => `${waiters.toLocaleString('en-US')} ${waiters === 1 ? 'waiter' : 'waiters'}`;
