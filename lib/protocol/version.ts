/**
 * Versions of the protocol: reading them, and deciding whether two sides fit.
 *
 *     0.77.0     Major.Minor.Micro
 *     │ │  └──── never matters
 *     │ └─────── the client's may be at most the agent's
 *     └───────── must be equal
 *
 * The only file that knows `semver`. Its grammar allows more than the wire does (`v1.2.3`, `1.2.3-beta+7`), so the
 * three plain numbers are checked here and the rest is left to it.
 *
 * Rule: PROTOCOL.md, "Versions".
 */

// Two functions, not the forty files of the whole: under inetd they would be read for each connection.
import gt from 'semver/functions/gt.js'
import parse from 'semver/functions/parse.js'

import { BackupError } from '../errors/index.ts'
import { showWire } from './wire-text.ts'

/** A version as the wire carried it, and its numbers. */
export interface ProtocolVersion {
  readonly text: string
  readonly major: number
  readonly minor: number
  readonly micro: number
}

/** What this agent speaks. */
export const AGENT_PROTOCOL_VERSION = '0.77.0'

/** What a client says that has met an older agent. */
export const COMPATIBLE_PROTOCOL_VERSION = '0.76.1'

/** The first minor with session blocks, framed streams and the actions beside `copy from` and `monitor`. */
const FRAMING_MINOR = 77

/** Whether a client may ask for what 0.77 has added. A higher major has it too. */
export const isFramingVersion = ({ major, minor }: ProtocolVersion): boolean => major > 0 || minor >= FRAMING_MINOR

/** No sign, no space, no leading zero: every version has one spelling. */
const THREE_NUMBERS = /^(?:(?:0|[1-9][0-9]*)\.){2}(?:0|[1-9][0-9]*)$/

/**
 * Reads a version.
 *
 * Shape: three numbers in plain digits, joined by `.`, each below 2^53.
 *
 * @throws BackupError `PROTOCOL_VERSION_INVALID`
 */
export const parseVersion = (text: string): ProtocolVersion => {
  const parsed = THREE_NUMBERS.test(text) ? parse(text) : null
  if (parsed === null) {
    // A line with "=" is a pair out of place, and its value may be a secret.
    const found = text.includes('=') ? 'a line with "="' : showWire(text)
    throw new BackupError(
      'PROTOCOL_VERSION_INVALID',
      `expected a protocol version of three plain numbers such as ${AGENT_PROTOCOL_VERSION}, found ${found}`,
      { line: 1 },
      { hint: `use a client of protocol ${AGENT_PROTOCOL_VERSION} or an earlier 0.x` },
    )
  }
  return { text, major: parsed.major, minor: parsed.minor, micro: parsed.patch }
}

/**
 * Decides whether a client may talk to an agent.
 *
 * The message begins with the words of deployed agents, capital letter and full stop included: clients that can fall
 * back to an older protocol recognise them.
 *
 * @throws BackupError `PROTOCOL_VERSION_INCOMPATIBLE`, naming both versions, the hint saying which side to update
 */
export const settleVersion = (client: ProtocolVersion, agent = parseVersion(AGENT_PROTOCOL_VERSION)): void => {
  const isNewer = gt(withoutMicro(client), withoutMicro(agent))
  if (client.major === agent.major && !isNewer) return
  const rule =
    client.major === agent.major
      ? `the client's minor number may be at most ${agent.minor}`
      : `the major number must be ${agent.major}`
  const hint = isNewer
    ? `update the agent to protocol ${client.major}.${client.minor} or later, or let the client speak ${agent.text}`
    : `update the client to protocol ${agent.text}`
  throw new BackupError(
    'PROTOCOL_VERSION_INCOMPATIBLE',
    `Incompatible client version ${client.text}. This agent speaks ${agent.text}: ${rule}`,
    { client: client.text, agent: agent.text, line: 1 },
    { hint },
  )
}

const withoutMicro = ({ major, minor }: ProtocolVersion): string => `${major}.${minor}.0`
