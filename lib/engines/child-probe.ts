/**
 * Asks a program one short question (`--version`, `--help`) and returns what it said.
 *
 * Same rules as `child.ts`: no shell, a new environment, nothing on stdin. An answer
 * takes seconds at most and is small; a program that does not keep to that is killed.
 */

import { startProcess } from './child-start.ts'

/** `mariadb-backup --help` takes 20 ms; a cold disk may take seconds. */
const DEADLINE_MS = 20_000

/** `mariadb-backup --help` writes 25 kB. */
const MAX_ANSWER_BYTES = 1024 * 1024

export interface ProbeAnswer {
  readonly exitCode: number | undefined
  /** stdout and stderr, in the order they came. */
  readonly text: string
  /** Why there is no exit code: it did not start, took too long, said too much. */
  readonly problem: string | undefined
}

/** Never rejects. */
export const probe = async (
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<ProbeAnswer> => {
  const { execa } = await import('execa') // with the first child: most questions need none
  const start = () =>
    execa(program, [...args], {
      env: { ...environment },
      extendEnv: false,
      shell: false,
      reject: false,
      stdin: 'ignore',
      all: true,
      timeout: DEADLINE_MS,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_ANSWER_BYTES,
    })
  const begun = await startProcess(start).catch((error: Error) => error)
  if (begun instanceof Error) return { exitCode: undefined, text: '', problem: begun.message }
  const answer = await begun.started
  return {
    exitCode: answer.exitCode,
    text: answer.all ?? '',
    problem: answer.exitCode === undefined ? (answer.shortMessage ?? 'no answer') : undefined,
  }
}
