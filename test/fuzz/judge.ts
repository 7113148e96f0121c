/**
 * Feeds one input to a target and says whether what came of it is allowed.
 *
 * Allowed are a word of the target's own and a BackupError with a code of the catalogue,
 * whose text can be shown on a terminal and is short. Everything else is a finding.
 */

import { BackupError, CATALOGUE } from '../../lib/errors/index.ts'
import { lend, type Target, Trace } from './target.ts'

export interface Judgement {
  /** A word of the target, or the code of a refusal. */
  readonly outcome: string
  /** All that was understood, the refusal included. */
  readonly trace: string
  /** Why this is not allowed. */
  readonly finding: string | undefined
}

/** Room for a path of 4095 bytes, all of it escaped, would be more; nobody reads that. */
const MAX_MESSAGE_CHARACTERS = 4096

/** C0, DEL and C1, and what turns the direction of writing: a terminal would obey them. */
const UNSAFE_TO_SHOW = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

export const judge = (target: Target, pieces: readonly Buffer[]): Judgement | Promise<Judgement> => {
  const trace = new Trace()
  try {
    const fed = target.feed(lend(pieces), trace)
    if (typeof fed === 'string') return allowed(fed, trace)
    return fed.then(
      (outcome) => allowed(outcome, trace),
      (error: unknown) => thrown(error, trace),
    )
  } catch (error) {
    return thrown(error, trace)
  }
}

const allowed = (outcome: string, trace: Trace): Judgement => ({ outcome, trace: trace.text, finding: undefined })

const thrown = (error: unknown, trace: Trace): Judgement => {
  if (!(error instanceof BackupError)) {
    return { outcome: 'crash', trace: trace.text, finding: `threw ${describe(error)}` }
  }
  trace.say(`${error.code} ${error.message}`)
  return { outcome: error.code, trace: trace.text, finding: whyNoRefusal(error) }
}

/** @returns what is wrong with a refusal; nothing when it is one */
export const whyNoRefusal = ({ code, message, hint = '' }: BackupError): string | undefined => {
  if (!Object.hasOwn(CATALOGUE, code)) return `refused with a code that is not in the catalogue: ${code}`
  if (message.length > MAX_MESSAGE_CHARACTERS) return `${code} has a message of ${message.length} characters`
  if (UNSAFE_TO_SHOW.test(message) || UNSAFE_TO_SHOW.test(hint)) {
    return `${code} has a message that a terminal would obey: ${JSON.stringify(message)}`
  }
  return undefined
}

/** With the first place in the stack that is ours: two findings of one place are one finding. */
const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const place = /\bdist\/((?:lib|test)\/[^:)]+\.js:\d+)/.exec(error.stack ?? '')?.[1]
  return `${error.name}: ${error.message.slice(0, 300)}${place === undefined ? '' : ` (${place})`}`
}
