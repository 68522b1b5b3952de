/**
 * Why Varve is behind in some rows, or misses a target: by group, in Markdown. Shown below the table of a group in which
 * there is such a row, so that a figure that has become better takes its explanation with it.
 */

/** @type {Readonly<Record<string, readonly string[]>>} */
export const EXPLANATIONS = {
  written: [
    'With `io: write` an awaited append is a system call of its own, with a frame around the record and a promise; raw ' +
      '`fs.writeSync` writes the bare bytes. With `io: mmap` there is no system call. What is left of an awaited append ' +
      'is the closing of a frame with its checksum and the turn of the microtask queue in which the promise resolves.',
  ],
  thousand: ['The same as above, a thousand times.'],
  reading: [
    'Each record becomes an object with a view of its own of the window that was read, and a position. Making the view ' +
      '(a `Uint8Array`) is a large part of what is left when nothing is verified again. The first reading verifies one ' +
      'checksum for each record, since each was a frame by itself.',
  ],
  durable: [
    'The raw calls block the thread that makes them. Varve’s sync runs in another thread, so that the event loop goes on: ' +
      'waking that thread and hearing its answer costs the same whatever is synced, which is felt where a sync is quick. Peers that commit ' +
      'on the calling thread, as better-sqlite3 does, save it, and stop everything else meanwhile. With more than one ' +
      'waiter it is shared.',
  ],
  waiters: [
    'With `io: mmap` the first store to each page of a segment is a page fault, 2 to 3 µs that `io: write` does not pay: it ' +
      'hands a whole group over in one call.',
  ],
  scanning: [
    'lmdb and better-sqlite3 read pages that are mapped or cached in the process and verify no checksum, and lmdb hands out ' +
      'what it has without copying. Varve’s first reading verifies a checksum for each frame; each record is an object with ' +
      'a view, an LSN and a position.',
  ],
  'scanning-backward': ['As forwards; and frames are found by their trailers.'],
  points: ['The peers look up in the calling turn; Varve resolves a promise.'],
  opening: [
    'Header, open frame and seal of each sealed segment are read, by the threads of the pool, and verified. Reading none ' +
      'of it would be quicker, and would not see a lost or swapped segment.',
  ],
  recovery: [
    '`fs.readSync` only copies the bytes out of the page cache: recovery also verifies the checksum of every frame.',
  ],
  rotation: [
    'An append that meets the end of a segment waits for the sync of the old segment, the name of the new one and the sync ' +
      'of the directory, in this order: a journal commit of the file system each. What comes before must be durable before ' +
      'anything behind it is.',
  ],
  'event-loop': [
    'With `io: mmap` the first store to each page of a segment is a page fault, 2 to 3 µs where a thread has prefetched the ' +
      'page, more where it has not yet; and a turn of a thousand writers takes a millisecond or two by itself. `io: write` ' +
      'does not fault; choose it where the event loop matters more than the single written append.',
  ],
  events: [
    'One writer: the hop to the syncing thread, as with a lone durable append; emmett-sqlite and the table of SQLite commit ' +
      'on the calling thread. Measured in turn with crowds and peers, one writer takes longer than the hop alone explains, ' +
      'which is not understood yet. Crowds: the time goes into garbage collection, JSON and the ' +
      'encoding of events.',
  ],
  'event-reads': [
    'An event is an object of many fields, with its data parsed from JSON. Iterated one by ' +
      'one, each event also costs a turn of the microtask queue: `.batches()` saves it.',
  ],
};
