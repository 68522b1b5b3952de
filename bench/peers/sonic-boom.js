/** A file of bytes without order, numbers or checksums: it can be appended to, and that is all. */
import { once } from 'node:events';
import { join } from 'node:path';
import SonicBoom from 'sonic-boom';

/** @type {import('./index.js').OpenPeer} */
export async function open(directory, ack) {
  const fsync = ack === 'durable';
  const boom = new SonicBoom({ dest: join(directory, 'log'), sync: !fsync, fsync, contentMode: 'buffer' });
  boom.setMaxListeners(0); // one for each that waits
  await once(boom, 'ready');
  return {
    library: 'sonic-boom',
    name: `sonic-boom ${fsync ? 'fsync' : 'sync'}`,
    durability: fsync ? 'sonic-boom: fsync after each write' : 'sonic-boom: written, not synced',
    append: fsync
      ? (payload) =>
          new Promise((resolve, reject) => {
            boom.write(payload);
            boom.flush((/** @type {Error | undefined} */ error) => (error ? reject(error) : resolve(undefined)));
          })
      : (payload) => boom.write(payload),
    async close() {
      boom.end();
      await once(boom, 'close');
    },
  };
}
