import { endWithParent } from '../../src/crypto/end-with-parent.js';

/** Stands in a call that never returns, as a module of an HSM may, with or without the watch over its parent. */
if (process.argv[2] === 'watched') endWithParent(process.ppid);
// Begins to hang once the thread of the watch runs, as a host does whose module hangs after a while.
setTimeout(() => {
  process.send?.('hangs', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
}, 200);
