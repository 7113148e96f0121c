/**
 * The agent's certificate and key, as they are now: when the files change, new connections get the new ones.
 *
 *     connection ─▶ have the files changed since the last look? ─┬▶ no           as before
 *                                                                ├▶ good ones    from now on these
 *                                                                └▶ bad ones     as before, and said once
 *
 * Looked at when somebody connects, every few seconds at most: so it does not matter how files are replaced, and
 * a rename that takes a link away (certbot) is seen like any other change. Connections that run go on.
 */

import {
  type Authorities,
  expiryWarning,
  factsOf,
  fingerprintOf,
  type Identity,
  readAuthorities,
  readIdentity,
} from '../certificates/index.ts'
import type { TlsSettings } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'
import type { SecureServer } from './secure-server.ts'

/** A site that renews its certificates does so once in months. */
const LOOK_MS = 2_000

/** What the door needs to know of the time. */
export interface Clocks {
  /** Epoch. */
  readonly wallClockMs: () => number
  /** Monotonic. */
  readonly nowMs: () => number
}

const CLOCKS: Clocks = { wallClockMs: Date.now, nowMs: () => performance.now() }

/** One state of the files. */
interface Loaded {
  readonly server: SecureServer
  readonly identity: Identity
  readonly authorities: Authorities | undefined
}

export class SecureDoor {
  readonly #settings: TlsSettings
  readonly #log: Logger
  readonly #clocks: Clocks
  #loaded: Loaded
  /** Of the files when they were read last, well or not. */
  #fingerprint: string
  #lookedMs: number
  #looking: Promise<void> | undefined

  private constructor(settings: TlsSettings, log: Logger, clocks: Clocks, loaded: Loaded, fingerprint: string) {
    this.#settings = settings
    this.#log = log
    this.#clocks = clocks
    this.#loaded = loaded
    this.#fingerprint = fingerprint
    this.#lookedMs = clocks.nowMs()
  }

  /** @throws BackupError `AGENT_TLS_*`: then there is no door */
  static async open(settings: TlsSettings, log: Logger, clocks: Clocks = CLOCKS): Promise<SecureDoor> {
    const fingerprint = await fingerprintOf(filesOf(settings))
    return new SecureDoor(settings, log, clocks, await load(settings, clocks), fingerprint)
  }

  /** Who makes new connections secure. Never rejects. */
  async current(): Promise<SecureServer> {
    if (this.#clocks.nowMs() - this.#lookedMs >= LOOK_MS) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined
      })
      await this.#looking
    }
    return this.#loaded.server
  }

  /** What is to be said of certificates that are about to expire; nothing when all is well. */
  warnings(nowMs: number): string[] {
    const { identity, authorities } = this.#loaded
    const own = expiryWarning(identity.facts, nowMs)
    const theirs = (authorities?.certificates ?? []).flatMap((certificate) => {
      const warning = expiryWarning(factsOf(certificate), nowMs)
      return warning === undefined ? [] : [`${this.#settings.clientAuthorities}: an authority of clients ${warning}`]
    })
    return [
      ...(own === undefined ? [] : [`${this.#settings.certificate}: the certificate of the agent ${own}`]),
      ...theirs,
    ]
  }

  async #look(): Promise<void> {
    const fingerprint = await fingerprintOf(filesOf(this.#settings))
    this.#lookedMs = this.#clocks.nowMs()
    if (fingerprint === this.#fingerprint) return
    this.#fingerprint = fingerprint
    try {
      this.#loaded = await load(this.#settings, this.#clocks)
      const { names, untilMs } = this.#loaded.identity.facts
      this.#log.info({ names, until: new Date(untilMs).toISOString() }, 'certificate taken over')
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      const { code, facts, hint, message } = error
      this.#log.error({ code, facts, hint }, `the new certificate is not taken over, the old one stays: ${message}`)
    }
  }
}

const filesOf = ({ certificate, key, clientAuthorities }: TlsSettings): string[] => [
  certificate,
  key,
  ...(clientAuthorities === undefined ? [] : [clientAuthorities]),
]

const load = async (settings: TlsSettings, { wallClockMs }: Clocks): Promise<Loaded> => {
  const { clientAuthorities, clients = clientAuthorities === undefined ? 'none' : 'required' } = settings
  const identity = await readIdentity(settings, 'agent', wallClockMs())
  const authorities = clientAuthorities === undefined ? undefined : await readAuthorities(clientAuthorities, 'agent')
  const { SecureServer } = await import('./secure-server.ts') // whoever speaks no TLS does not load it
  return { server: new SecureServer({ identity, authorities, clients }), identity, authorities }
}
