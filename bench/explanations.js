/**
 * Why Varve is behind in some rows, or misses a target: by group, in Markdown. Shown below the table of a group in which
 * there is such a row, so that a figure that has become better takes its explanation with it.
 */

/** @type {Readonly<Record<string, readonly string[]>>} */
export const EXPLANATIONS = {
  written: [
    'With `io: write` an awaited append is a system call of its own, with a frame around the record and a promise; raw ' +
      '`fs.writeSync` writes the bare bytes. With `io: mmap` there is no system call. Of the 0.5 to 0.6 µs that an awaited ' +
      'append of 8 B takes the main thread, the promise and its microtask take 0.1, the frame 0.1 (0.04 of it for ' +
      'the clock, 0.03 for the checksum), and the rest is bookkeeping and garbage collection. Records of 1 KiB and ' +
      'more are ruled by page faults: the first store to each page of a file takes 2 to 3 µs, which large writes do not pay.',
  ],
  thousand: ['The same as above, a thousand times.'],
  reading: [
    'A thousand records, each a frame by itself. Again: 25 µs for the objects (a view, which is a `Uint8Array`, a record and ' +
      'a position each), 10 to 15 to read 110 KiB into a new window, and 20 to walk the frames. First: 60 to 70 µs more for ' +
      'a thousand checksums, 20 to 25 to open the file, and 30 to 60 for new memory and code that is not in the caches.',
  ],
  durable: [
    'The raw calls block the thread that makes them. Varve’s sync runs in another thread, so that the event loop goes on: ' +
      'most of the difference is waking that thread and hearing its answer, where a sync is short enough for both ' +
      'processors to fall asleep meanwhile. Peers that commit on the calling thread, as better-sqlite3 does, save that, ' +
      'and stop everything else meanwhile. With more than one waiter it is shared.',
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
    'An append that meets the end of a segment waits for the sync of the old segment (0.2 to 0.4 ms), beside it for the new ' +
      'segment’s name and the sync of the directory (0.15 and 0.35 ms), and then for the first sync of the new segment (0.2 ' +
      'ms). What comes before must be durable before anything behind it is. In the worst ones a rename or a sync of the ' +
      'directory waits 4 to 10 ms for a commit of the file system’s journal that is under way: of another program, or of ' +
      'preparing the segment after the next. The event loop waits for none of it.',
  ],
  'event-loop': [
    'With `io: mmap` the first store to each page of a segment is a page fault, 2 to 3 µs where a thread has prefetched the ' +
      'page, more where it has not yet; and a turn of a thousand writers takes a millisecond or two by itself. `io: write` ' +
      'does not fault; choose it where the event loop matters more than the single written append.',
  ],
  events: [
    'One writer: the hop to the syncing thread, as with a lone durable append, above; the event itself adds 15 to 30 µs to ' +
      'an append of the log when both are measured in turn. The table of SQLite commits on the calling thread. Crowds: of ' +
      'the 6 µs that an event takes, a fifth is garbage collection, a fifth JSON and the encoding of the event, an eighth the ' +
      'table of stream heads and the index, the rest the log and promises.',
  ],
  'event-reads': [
    'An event is an object of fourteen fields, with its data parsed from JSON. Of the 2 µs that an event of 150 B takes, 0.7 ' +
      'are `JSON.parse`, 0.2 making its text of bytes, 0.3 id, stream and type as strings, and 0.3 garbage collection. ' +
      'Iterated one by one, each event also costs a turn of the microtask queue: `.batches()` saves it.',
  ],
  actors: [
    'All on one thread: of the 25 to 30 µs of an event, its append to the event store takes 6 to 7, garbage collection 8, and ' +
      'the rest is computing, queueing and making visible. XState’s own transition takes 2.5 µs in a loop over one actor, and ' +
      'allocates half of the 10 KB that are collected for an event. Where a file is written and synced in 0.35 ms, fifty ' +
      'times that rate would be 7 µs for an event.',
    'An actor in memory is XState’s own, its handle, and what journals it: queue, effects, supervision, timers, and the ' +
      'head of its stream in the store’s cache.',
  ],
};
