import { endWithParent } from './end-with-parent.js';
import type { NumberedAnswer, NumberedRequest, OpenToken } from './pkcs11-messages.js';
import { Pkcs11Refusal } from './pkcs11-refusal.js';
import { Pkcs11Session } from './pkcs11-session.js';

/**
 * The process that holds a PKCS#11 module: code of the HSM's vendor, whose calls block. Started by `pkcs11.ts`; the
 * PIN arrives as a message, never by argument or environment. It answers one request after the other and ends with
 * whoever started it.
 */
async function open(token: OpenToken): Promise<Pkcs11Session> {
  const loaded = await import('pkcs11js').catch(() => undefined);
  if (loaded === undefined) {
    throw new Pkcs11Refusal('misconfigured', 'the package pkcs11js is missing; npm install pkcs11js@2.1.7');
  }
  return new Pkcs11Session(loaded.default ?? loaded, token);
}

function listen(): void {
  let session: Promise<Pkcs11Session> | undefined;

  async function answer({ number, request }: NumberedRequest): Promise<NumberedAnswer> {
    try {
      if (request.ask === 'open') session ??= open(request.token);
      if (session === undefined) throw new Pkcs11Refusal('unavailable', 'not opened');
      return { number, answer: (await session).answer(request) };
    } catch (error) {
      const fault = error instanceof Pkcs11Refusal ? error.fault : 'misconfigured';
      return { number, fault, detail: error instanceof Error ? error.message : 'unknown error' };
    }
  }

  // Ctrl+C and systemd signal every process of the group; ours must serve until the program has drained.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => undefined);
  process.on('disconnect', () => process.exit(0));
  // The same while a call into the module blocks this thread and hides the disconnection.
  endWithParent(process.ppid);
  process.on('message', (message: NumberedRequest) => {
    void answer(message).then(told => process.send?.(told));
  });
}

listen();
