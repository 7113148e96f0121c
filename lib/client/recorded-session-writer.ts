/**
 * Writes a session down: the other direction of `recorded-session-parser.ts`.
 *
 * What was read and is written again is the same text, but for blank lines. Pure.
 */

import { type RecordedSession, SESSION_FORMAT, SESSION_MAGIC, type SessionStep } from './recorded-session.ts'
import { spellStream } from './recorded-session-stream-line.ts'
import { spellWireText } from './recorded-session-text.ts'

/** @returns the whole text of the file */
export const writeSession = ({ steps }: Pick<RecordedSession, 'steps'>): string =>
  [`${SESSION_MAGIC}${SESSION_FORMAT}`, ...steps.flatMap(spellStep)].map((line) => `${line}\n`).join('')

const spellStep = (step: SessionStep): string[] => {
  switch (step.kind) {
    case 'comment':
      return [`# ${step.text}`.trimEnd()]
    case 'send':
      return [`> ${spellWireText(step.text)}`]
    case 'cut':
      return ['>cut']
    case 'pause':
      return [`>pause ${step.milliseconds}`]
    case 'half-close':
      return ['>half-close']
    case 'receipt':
      return ['>receipt']
    case 'answer':
      return [`< ${spellWireText(step.text)}`]
    case 'stream':
      return spellStream(step.expected)
    case 'end':
      return [`<${step.how}`]
  }
}
