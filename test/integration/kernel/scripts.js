/**
 * What the children of these tests do to a log: small programs that take every path to the disk.
 *
 * Each is given a function that makes a new session: one for each time that it opens the log.
 *
 * @typedef {() => import('./session.js').Session} NewSession
 */
import { TORN } from './crash-points.js';

/** Every operation there is. */
async function life(/** @type {NewSession} */ newSession) {
  const session = newSession();
  await session.open();
  if (session.partition !== undefined) {
    await session.append();
    await session.append('written');
    await session.rotate();
    await session.batch(3);
    await session.write();
    await session.append(); // the segment is full: it rotates by itself
    await session.append();
    await session.purge(2);
    await session.rotate('reuse');
    await session.batch(3);
    await session.rotate();
    await session.append();
    await session.truncate(3); // cuts the batch in two, and takes the newest segment away
    await session.append();
    await session.write(true);
  }
  if (session.log !== undefined) await session.close();
}

/** What a program does that starts on a log that is there. */
async function recover(/** @type {NewSession} */ newSession) {
  const session = newSession();
  await session.open();
  if (session.partition !== undefined) await session.append();
  if (session.log !== undefined) await session.close();
}

/** Two durable records, two that are not, and death. */
async function torn(/** @type {NewSession} */ newSession, /** @type {(point: string) => void} */ die) {
  const session = newSession();
  await session.open();
  await session.append();
  await session.append();
  await session.append('written');
  await session.append('written');
  die(TORN);
}

/** A life, and in the same process the next one. */
async function lives(/** @type {NewSession} */ newSession) {
  await life(newSession);
  await recover(newSession);
}

/** What a log must still be good for, whatever has happened to it: opening, appending, closing, and opening again. */
async function judge(/** @type {NewSession} */ newSession) {
  await recover(newSession);
  const session = newSession();
  await session.open();
  await session.close();
}

export const scripts = { life, lives, recover, torn, judge };
