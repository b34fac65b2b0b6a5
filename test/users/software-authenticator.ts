import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server';
import { isoCBOR } from '@simplewebauthn/server/helpers';

const FLAGS = { present: 0x01, verified: 0x04, eligible: 0x08, backedUp: 0x10, attested: 0x40 };

export interface Ceremony {
  readonly origin: string;
  /** Asked for a finger or a PIN; default true. */
  readonly verifiesUser?: boolean;
  readonly userHandle?: string | undefined;
}

/** A passkey in software (WebAuthn §6): ES256, no attestation. Answers are JSON as the browser's script posts it. */
export class SoftwareAuthenticator {
  readonly id = randomBytes(32);
  counter = 0;
  #userHandle = '';
  readonly #privateKey: KeyObject;
  readonly #cose: Map<number, number | Uint8Array>;
  readonly #countsUses: boolean;

  constructor({ countsUses = true }: { readonly countsUses?: boolean } = {}) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    this.#privateKey = privateKey;
    this.#countsUses = countsUses;
    this.#cose = new Map<number, number | Uint8Array>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, Buffer.from(x, 'base64url')],
      [-3, Buffer.from(y, 'base64url')],
    ]);
  }

  get credentialId(): string {
    return this.id.toString('base64url');
  }

  register(options: PublicKeyCredentialCreationOptionsJSON, ceremony: Ceremony): string {
    this.#userHandle = options.user.id;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.id.length);
    const attested = Buffer.concat([Buffer.alloc(16), length, this.id, bytesOf(this.#cose)]);
    const authData = Buffer.concat([
      this.#authenticatorData(options.rp.id ?? '', ceremony, FLAGS.attested),
      attested,
    ]);
    const attestationObject = bytesOf(
      new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', Uint8Array.from(authData)],
      ]),
    );
    return JSON.stringify({
      id: this.credentialId,
      rawId: this.credentialId,
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: clientData('webauthn.create', options.challenge, ceremony.origin).toString(
          'base64url',
        ),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['internal', 'hybrid', 'telepathy'],
      },
    });
  }

  answer(options: PublicKeyCredentialRequestOptionsJSON, ceremony: Ceremony): string {
    if (this.#countsUses) this.counter += 1;
    const authenticatorData = this.#authenticatorData(options.rpId ?? '', ceremony, 0);
    const client = clientData('webauthn.get', options.challenge, ceremony.origin);
    const signed = Buffer.concat([authenticatorData, createHash('sha256').update(client).digest()]);
    return JSON.stringify({
      id: this.credentialId,
      rawId: this.credentialId,
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: client.toString('base64url'),
        authenticatorData: authenticatorData.toString('base64url'),
        signature: sign('sha256', signed, this.#privateKey).toString('base64url'),
        userHandle: 'userHandle' in ceremony ? ceremony.userHandle : this.#userHandle,
      },
    });
  }

  #authenticatorData(rpId: string, { verifiesUser = true }: Ceremony, more: number): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(this.counter);
    const flags =
      FLAGS.present | FLAGS.eligible | FLAGS.backedUp | (verifiesUser ? FLAGS.verified : 0) | more;
    return Buffer.concat([createHash('sha256').update(rpId).digest(), Buffer.from([flags]), counter]);
  }
}

function clientData(type: string, challenge: string, origin: string): Buffer {
  return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
}

function bytesOf(value: Map<number | string, unknown>): Buffer {
  return Buffer.from(isoCBOR.encode(value as Parameters<typeof isoCBOR.encode>[0]));
}
