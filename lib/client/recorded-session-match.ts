/**
 * Compares what the agent said with what the recording expects, a line at a time.
 *
 * Outside placeholders every byte counts. `{sid}` takes what it first meets and wants
 * the same from then on; `{bytes}` and `{sha256}` want what was counted. Pure.
 */

import type { PlaceholderName, WireText } from './recorded-session.ts'
import type { PlaceholderValues, Secrets } from './recorded-session-text.ts'

export class LineMatcher {
  #values: PlaceholderValues
  #sid: string | undefined

  constructor(secrets: Secrets = {}) {
    this.#values = { password: secrets.password, token: secrets.token }
  }

  /** Tells what was counted of a stream. */
  know(values: PlaceholderValues): void {
    this.#values = { ...this.#values, ...values }
  }

  /** The session's id, once a line has told it. */
  get sid(): string | undefined {
    return this.#sid
  }

  matches(expected: WireText, found: Buffer): boolean {
    let source = ''
    for (const part of expected) {
      source += Buffer.isBuffer(part) ? quoted(part.toString('latin1')) : this.#pattern(part.placeholder)
    }
    const match = new RegExp(`^${source}$`, 's').exec(found.toString('latin1'))
    if (match === null) return false
    this.#sid ??= match.groups?.['sid']
    return true
  }

  #pattern(placeholder: PlaceholderName): string {
    switch (placeholder) {
      case 'text':
        return '[^\\n]*'
      case 'version':
        return '\\d+(?:\\.\\d+)+[-+~.\\w]*'
      case 'sid':
        return this.#sid === undefined ? '(?<sid>[^\\n]+)' : quoted(this.#sid)
      case 'password':
      case 'token':
      case 'bytes':
      case 'sha256':
        return quoted(Buffer.from(this.#values[placeholder] ?? '').toString('latin1'))
    }
  }
}

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
