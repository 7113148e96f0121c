/**
 * `--max-bytes` and `--max-seconds`: what somebody takes at most from a side that is not trusted.
 *
 * Without them nothing is refused for its size or its time: how large a server is and how fast a
 * network, only its owner knows, and a limit that is guessed loses a backup one night.
 */

import { Option } from 'commander'

import { parseCount } from './values.ts'

export const maxBytesOption = (help: string): Option =>
  new Option('--max-bytes <N>', `${help}; as in 500G (default: no limit)`).argParser(parseCount('bytes', 1))

export const maxSecondsOption = (help: string): Option =>
  new Option('--max-seconds <N>', `${help} (default: no limit)`).argParser(parseCount('seconds', 1))
