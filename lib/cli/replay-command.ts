/** `backup-client replay`: does this agent answer as the recording says, and if not, where does it differ first? */

import { Command, Option } from 'commander'

import { DEFAULT_REPLAY_SILENCE_SECONDS, type Pieces, replaySession } from '../client/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { PASSWORD_VARIABLE, readPassword } from './password.ts'
import { runReported } from './report.ts'
import { readTokenOptions, TOKEN_VARIABLE } from './token.ts'
import { addTlsOptions, type TlsWords, tlsOf } from './tls-options.ts'
import { type Address, formatBytes, parseAddress, parseCount } from './values.ts'

interface ReplayCommandOptions extends TlsWords {
  readonly passwordFile?: string
  readonly tokenFile?: string
  readonly pieces: Extract<Pieces, string>
  readonly silenceSeconds: number
  readonly json?: true
}

export const replayCommand = (): Command =>
  addTlsOptions(new Command('replay'))
    .description('replay a recorded session; exit 0 when the agent answers as recorded, else say the first difference')
    .argument('<FILE>', 'the session')
    .argument('<HOST[:PORT]>', `the agent (port ${DEFAULT_PORT} by default)`, parseAddress(DEFAULT_PORT))
    .option('--password-file <F>', `file with what {password} stands for; else the environment's ${PASSWORD_VARIABLE}`)
    .option('--token-file <F>', `file with what {token} stands for; else the environment's ${TOKEN_VARIABLE}`)
    .addOption(
      new Option('--pieces <HOW>', "how the client's bytes are cut")
        .choices(['recorded', 'whole', 'bytes'] satisfies Pieces[])
        .default('recorded'),
    )
    .addOption(
      new Option('--silence-seconds <N>', 'how long the agent may be silent')
        .default(DEFAULT_REPLAY_SILENCE_SECONDS)
        .argParser(parseCount('seconds', 1)),
    )
    .option('--json', 'print the result, or the difference, as JSON')
    .action((file: string, address: Address, options: ReplayCommandOptions) =>
      runReported({
        json: options.json ?? false,
        stream: process.stdout,
        work: async (signal) => {
          const { passwordFile, tokenFile, pieces, silenceSeconds } = options
          const password = await readPassword(passwordFile)
          const { token } = await readTokenOptions(tokenFile === undefined ? {} : { tokenFile })
          return replaySession(file, {
            ...address,
            tls: tlsOf(options),
            password,
            token,
            pieces,
            silenceSeconds,
            signal,
          })
        },
        asJson: ({ sentBytes, answerLines, sid, stream }) => ({
          status: 'SAME',
          sentBytes,
          answerLines,
          sid,
          ...(stream === undefined
            ? {}
            : { archive: stream.archive, members: stream.members.length, bytes: stream.bytes, sha256: stream.sha256 }),
        }),
        forPeople: ({ answerLines, stream }) =>
          `${file}: as recorded, ${answerLines} lines${
            stream === undefined ? '' : ` and a stream of ${formatBytes(stream.bytes)} (archive ${stream.archive})`
          }\n`,
      }),
    )
