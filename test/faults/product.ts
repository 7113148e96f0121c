/** What the programs under test can do, as they say it themselves. */

import { AGENT_PROGRAM, CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { mustRun } from '../rig/run-program.ts'

/** As `backup-client fetch --encoding` calls them. */
export type Encoding = 'octet' | 'base64' | 'uuencode' | 'framed'

/** What a client speaks first: plain encodings are those of 0.76, and 0.77 has them as well. */
export type Dialogue = '0.76' | '0.77'

export const dialogueOf = (encoding: Encoding): Dialogue => (encoding === 'framed' ? '0.77' : '0.76')

export const PLAIN_ENCODINGS = ['octet', 'base64', 'uuencode'] as const satisfies readonly Encoding[]

export interface Product {
  /** Of the client. */
  readonly encodings: readonly Encoding[]
  /** The agent remembers its jobs in `--state-dir`. */
  readonly history: boolean
  /** The agent spills to disk for slow readers, up to `--spill-bytes`. */
  readonly spill: boolean
}

export type Ability = 'framed' | 'history' | 'spill'

export const has = ({ encodings, history, spill }: Product, ability: Ability): boolean =>
  ability === 'framed' ? encodings.includes('framed') : ability === 'history' ? history : spill

export const askProduct = async (): Promise<Product> => {
  const [serve, fetch] = await Promise.all([help(AGENT_PROGRAM, 'serve'), help(CLIENT_PROGRAM, 'fetch')])
  return {
    encodings: fetch.includes('"framed"') ? [...PLAIN_ENCODINGS, 'framed'] : PLAIN_ENCODINGS,
    history: serve.includes('--state-dir'),
    spill: serve.includes('--spill-bytes'),
  }
}

const help = async (program: string, command: string): Promise<string> =>
  (await mustRun(process.execPath, [program, command, '--help'])).stdout.toString()
