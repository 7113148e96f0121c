/** How long a certificate is good for, and when that is worth a word. Pure: the time is an argument. */

import type { CertificateFacts } from './certificate-facts.ts'

/** Enough to order another one, and to notice that nobody has. */
export const EXPIRY_WARNING_DAYS = 30

const DAY_MS = 86_400_000

/** Whole days; negative when it is over. */
export const daysLeft = ({ untilMs }: Pick<CertificateFacts, 'untilMs'>, nowMs: number): number =>
  Math.floor((untilMs - nowMs) / DAY_MS)

/** @returns undefined while there is nothing to say */
export const expiryWarning = (facts: CertificateFacts, nowMs: number): string | undefined => {
  const left = daysLeft(facts, nowMs)
  if (nowMs >= facts.untilMs) return `has expired on ${dayOf(facts.untilMs)}`
  if (left >= EXPIRY_WARNING_DAYS) return undefined
  return `expires in ${left === 1 ? '1 day' : `${left} days`}, on ${dayOf(facts.untilMs)}`
}

/** `2027-03-01` */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
