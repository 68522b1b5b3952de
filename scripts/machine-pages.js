/** The pages of docs/ about state machines: which machine, where it lies, and what its states mean. */

/** @typedef {import('./diagram-of.js').Page & { file: string }} MachinePage */

/** @type {MachinePage} */
export const partitionPage = {
  file: 'docs/partition-machine.md',
  title: 'The partition machine',
  source: 'src/actors/partition-machine.ts',
  introduction: [
    'What a partition may do, and when. Three regions run beside each other, so that writing goes on while a sync or a',
    'purge runs. A record is not an event of this machine; frames, group commits and segments are.',
  ].join('\n'),
  meanings: {
    log: 'What may happen to the tail.',
    'log.opening': 'Recovered, but not yet handed out: appends wait.',
    'log.writing': 'Appends go into the active segment.',
    'log.rotating':
      'The active segment is being left for the next one. Appends go on into what is there, or wait; a close waits for the end.',
    'log.blocked':
      'There is no space for the next segment. Appends that need it wait or are refused, as `whenFull` says; the rest goes on.',
    'log.rewinding': 'The tail is being cut off. Appends wait; a close waits for the end.',
    'log.failed':
      'A write or an fdatasync has failed. All that waited was rejected with the cause; nothing is retried; reads up to the durable LSN go on; only closing is left.',
    'log.closing': 'What was taken is made durable, and everything is given back.',
    'log.closed': 'Over. Nothing is heard any more.',
    durability: 'The sync lane.',
    'durability.idle': 'No fdatasync is under way.',
    'durability.syncing':
      'One fdatasync after the other is under way, for as long as that is asked for. What is asked for during one rides on the next, since this one does not cover it.',
    retention: 'The purge lane.',
    'retention.idle': 'No purge is under way.',
    'retention.purging': 'Old segments are being given up. What is asked for meanwhile is done in one more purge.',
  },
};

/** @type {MachinePage} */
export const allocatorPage = {
  file: 'docs/allocator-machine.md',
  title: 'The allocator machine',
  source: 'src/actors/allocator-machine.ts',
  introduction: [
    'How the queue of prepared segments is kept full, ahead of need. One for a log; it alone meets a full disk. `short` is',
    'one episode of lacking space: announced once, and tried again when the hook has ended, when something was given back,',
    'and else after a delay that doubles from 100 ms to 5 s.',
  ].join('\n'),
  meanings: {
    rested: 'As many segments are prepared as are wanted.',
    preparing: 'One segment is being prepared.',
    short: 'The disk is full; the next attempt comes after the delay, or sooner when there is reason to hope.',
    'short.low': 'Nobody waits for a segment yet: appends go on in what was reserved.',
    'short.blocked': 'Somebody waits for a segment.',
    stopped: 'The log is closing: no more segments are prepared.',
  },
};
