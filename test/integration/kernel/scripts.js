/**
 * What the children of these tests do to a log: small programs that take every path to the disk.
 *
 * Each is given a function that makes a new session: one for each time that it opens the log.
 *
 * @typedef {() => import('./session.js').Session} NewSession
 */
import { setTimeout } from 'node:timers/promises';
import { TORN } from './crash-points.js';
import { die } from './killer.js';

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
async function torn(/** @type {NewSession} */ newSession) {
  const session = newSession();
  await session.open();
  await session.append();
  await session.append();
  await session.append('written');
  await session.append('written');
  die(TORN);
}

/**
 * A command that changes what the process or the directory may do; the operation `first`, then all others, and, if
 * `reopen`, a next opening by the same process.
 */
async function disturbed(/** @type {NewSession} */ newSession, { command, first, reopen }) {
  const session = newSession();
  await session.open();
  await session.append();
  await session.append();
  await session.rotate();
  await session.append();
  await session.run(command);
  const operations = {
    append: () => session.append(),
    batch: () => session.batch(2),
    sync: () => session.write(),
    rotate: () => session.rotate(),
    purge: () => session.purge(1),
    truncate: () => session.truncate(1),
  };
  await operations[first]();
  for (const operation of Object.values(operations)) await operation();
  await session.append('written');
  await session.close();
  if (reopen) await recover(newSession);
}

/**
 * A log on a file system with exactly `free` bytes left, of which `released` more come back while something waits. The
 * timer of that wait is all that keeps the process alive.
 */
async function exactlyFull(/** @type {NewSession} */ newSession, { ballast, free, released }) {
  const session = newSession();
  await session.open();
  await session.append();
  await session.fill(ballast, free);
  if (released > 0) await session.run(`(sleep 1; truncate -s -${released} ${ballast}) >/dev/null 2>&1 &`);
  await session.append();
  await session.append(); // more than half full: the next segment is prepared ahead of need
  await setTimeout(150); // where there is no room, that waits now, and keeps no process alive
  await session.rotate();
  await session.batch(3);
  await session.close();
  await look(newSession);
}

/** Opening alone, and closing. */
async function look(/** @type {NewSession} */ newSession) {
  const session = newSession();
  await session.open();
  await session.close();
}

/** A life, and in the same process the next one. */
async function lives(/** @type {NewSession} */ newSession) {
  await life(newSession);
  await recover(newSession);
}

/** What a log must still be good for, whatever has happened to it: opening, appending, closing, and opening again. */
async function judge(/** @type {NewSession} */ newSession) {
  await recover(newSession);
  await look(newSession);
}

export const scripts = { life, lives, disturbed, exactlyFull, recover, look, torn, judge };
