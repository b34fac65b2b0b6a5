import { Envelope } from '../../src/crypto/envelope.js';
import { openDatabase } from '../../src/database/connect.js';
import { Outbox } from '../../src/delivery/outbox.js';

/** A process of its own that claims logout notices, tells how many, and never finishes them. */
const [url = '', key = '', offset = '0'] = process.argv.slice(2);
const database = openDatabase({ url, clockOffset: () => Number(offset) });
const outbox = new Outbox(new Envelope({ id: 'e', key: Buffer.from(key, 'base64url') }));
const claimed = await outbox.take(database, 'backchannel_logout', 10);
process.send?.(claimed.length);
setInterval(() => undefined, 60_000);
