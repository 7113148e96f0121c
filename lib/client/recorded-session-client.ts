/**
 * Plays the client's half of a session: the same bytes, cut as the caller likes.
 *
 * How a request is cut must make no difference to an agent, so a recording can be
 * replayed as it was made, in one write, or in the smallest pieces there are.
 */

import { setTimeout as wait } from 'node:timers/promises'

import { BackupError } from '../errors/index.ts'
import type { SessionStep } from './recorded-session.ts'
import type { Conversation } from './recorded-session-conversation.ts'
import { filled, type PlaceholderValues, type Secrets } from './recorded-session-text.ts'
import { interrupted } from './request-connection.ts'

/**
 * How the client's bytes are cut into writes.
 *
 * `recorded`: at `>cut` and `>pause`; `whole`: nowhere; `bytes`: everywhere; a number:
 * once, before the client's byte of that offset. Only `recorded` waits at a `>pause`.
 */
export type Pieces = 'recorded' | 'whole' | 'bytes' | { readonly cutAt: number }

export class ClientHalf {
  readonly #conversation: Conversation
  readonly #pieces: Pieces
  #values: PlaceholderValues
  readonly #signal: AbortSignal
  #unsent: Buffer[] = []
  #sentBytes = 0

  constructor(conversation: Conversation, pieces: Pieces, secrets: Secrets, signal: AbortSignal) {
    this.#conversation = conversation
    this.#pieces = pieces
    this.#values = { password: secrets.password, token: secrets.token }
    this.#signal = signal
  }

  get sentBytes(): number {
    return this.#sentBytes
  }

  /** Tells what was counted of a stream, for the receipt. */
  know(values: PlaceholderValues): void {
    this.#values = { ...this.#values, ...values }
  }

  /** Takes one step of the client; bytes wait for the end of their write. */
  async play(step: SessionStep): Promise<void> {
    switch (step.kind) {
      case 'send':
        this.#unsent.push(filled(step.text, this.#values))
        return
      case 'cut':
      case 'pause':
        if (this.#pieces !== 'recorded') return
        await this.flush()
        if (step.kind === 'pause') await this.#pause(step.milliseconds)
        return
      case 'half-close':
        await this.flush()
        this.#conversation.halfClose()
        return
      default:
        return
    }
  }

  /** Sends what was held for one write. Call it before waiting for the agent. */
  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#unsent)
    this.#unsent = []
    const start = this.#sentBytes
    this.#sentBytes += bytes.length
    if (this.#pieces === 'bytes') {
      for (let at = 0; at < bytes.length; at += 1) await this.#conversation.send(bytes.subarray(at, at + 1))
      return
    }
    const cutAt = typeof this.#pieces === 'object' ? Math.max(this.#pieces.cutAt - start, 0) : 0
    await this.#conversation.send(bytes.subarray(0, cutAt))
    await this.#conversation.send(bytes.subarray(cutAt))
  }

  async #pause(milliseconds: number): Promise<void> {
    await wait(milliseconds, undefined, { signal: this.#signal }).catch(() => {
      throw interrupted(this.#signal)
    })
  }
}

/** @throws BackupError `SESSION_FILE_INVALID` when the session needs a password or a token and none was given */
export const requireSecrets = (steps: readonly SessionStep[], { password, token }: Secrets): void => {
  if (password === undefined) requireSecret(steps, 'password')
  if (token === undefined) requireSecret(steps, 'token')
}

const requireSecret = (steps: readonly SessionStep[], name: 'password' | 'token'): void => {
  for (const step of steps) {
    if (step.kind !== 'send' && step.kind !== 'answer') continue
    if (!step.text.some((part) => !Buffer.isBuffer(part) && part.placeholder === name)) continue
    throw new BackupError(
      'SESSION_FILE_INVALID',
      `line ${step.line} needs a ${name} and none was given`,
      { line: step.line },
      { hint: `give one; sessions hold {${name}} instead of a secret` },
    )
  }
}
