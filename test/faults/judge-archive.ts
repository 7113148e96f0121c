/**
 * Whether a file that a client has given its final name is what the agent made.
 *
 * Asked of others than the client that fetched it: of `backup-client verify`, which reads
 * the file again from the disk; of GNU tar; and of the agent, which counted and hashed what
 * it produced.
 */

import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { runProgram } from '../rig/run-program.ts'
import type { ClientEnd } from './client-run.ts'
import type { Tally } from './tally.ts'

interface Verified {
  readonly sha256: string
  readonly bytes: number
}

/** What the agent says of the archive, as far as it said something. */
export interface AgentsWord {
  readonly sha256?: string | undefined
  readonly bytes?: number | undefined
}

/**
 * Charges a false-complete when there is a final file and it is not whole, and when the client
 * says that it is complete and there is none.
 *
 * @param context which injection it was, for the sentence
 * @returns the digest of a final file that is whole
 */
export const judgeArchive = async (
  client: Pick<ClientEnd, 'final' | 'hasFinal' | 'exitCode' | 'report'>,
  agent: AgentsWord,
  tally: Tally,
  context: string,
): Promise<string | undefined> => {
  const saysComplete = client.exitCode === 0 || client.report?.status === 'COMPLETE'
  if (!client.hasFinal) {
    if (saysComplete) tally.charge('falseComplete', `${context}: the client says complete, and there is no file`)
    return undefined
  }
  const verify = await runProgram(process.execPath, [CLIENT_PROGRAM, 'verify', '--json', client.final])
  const tar = await runProgram('tar', ['--list', '--file', client.final], { outputFile: '/dev/null' })
  const file = verify.exitCode === 0 ? (JSON.parse(verify.stdout.toString()) as Verified) : undefined
  const problems = [
    ...(file === undefined ? [`verify refuses it (${verify.exitCode})`] : differences(file, client, agent)),
    ...(tar.exitCode === 0 ? [] : [`GNU tar refuses it (${tar.exitCode})`]),
  ]
  for (const problem of problems) tally.charge('falseComplete', `${context}: a final file, but ${problem}`)
  return problems.length === 0 ? file?.sha256 : undefined
}

const differences = (file: Verified, { report }: Pick<ClientEnd, 'report'>, agent: AgentsWord): string[] => {
  const said = report?.status === 'COMPLETE' ? report.sha256 : undefined
  return [
    ...(said === undefined || said === file.sha256 ? [] : ['the receipt has another digest']),
    ...(agent.sha256 === undefined || agent.sha256 === file.sha256 ? [] : ['the agent has another digest']),
    ...(agent.bytes === undefined || agent.bytes === file.bytes ? [] : [`the agent made ${agent.bytes} bytes`]),
  ]
}
