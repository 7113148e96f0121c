/**
 * Compares what the agent said with what the recording expects, a line at a time.
 *
 * Outside placeholders every byte counts. `{sid}` takes what it first meets and wants
 * the same from then on. Pure.
 */

import type { PlaceholderName, WireText } from './recorded-session.ts'

export class LineMatcher {
  readonly #password: string | undefined
  #sid: string | undefined

  constructor(password?: string) {
    this.#password = password
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
        return quoted(Buffer.from(this.#password ?? '').toString('latin1'))
    }
  }
}

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
