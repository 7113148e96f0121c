/** How a remembered backup stands, in a sentence for people. */

import type { RememberedJob } from '../jobs/index.ts'

/** Of a failure its own words, of a complete backup why it is not confirmed. */
export const outcomeWords = ({ msg, state }: RememberedJob): string => {
  if (msg === undefined) return WORDS[state]
  return state === 'delivered' || state === 'sent-unconfirmed' ? `${WORDS[state]}: ${msg}` : msg
}

const WORDS: Readonly<Record<RememberedJob['state'], string>> = {
  running: 'the backup is running',
  delivered: 'complete, and the client has confirmed every byte',
  'sent-unconfirmed': 'complete and sent; nobody has confirmed that it arrived',
  failed: 'failed: there is no backup',
  cancelled: 'cancelled: there is no backup',
  interrupted: 'interrupted: the agent ended before it could say how the backup ended',
}
