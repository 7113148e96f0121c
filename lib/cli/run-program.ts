/**
 * Runs a command line to its end: exit status, and one clear sentence when it fails.
 *
 * Every failure we foresee prints its message, what to do about it, and its code to
 * look up; anything else is a bug, and prints its stack.
 */

import { type Command, CommanderError } from 'commander'

import { BackupError, EXIT } from '../errors/index.ts'
import { print } from './print.ts'
import { isTold } from './told-failures.ts'

/**
 * @param program with its actions; an action that throws decides the exit status
 * @param argv as in `process.argv`
 * @param onFailure whom else to tell; never rejects
 * @returns the exit status, after everything is printed
 */
export const runProgram = async (
  program: Command,
  argv: readonly string[],
  onFailure: (error: unknown) => Promise<void> = async () => {},
): Promise<number> => {
  const asked: string[] = []
  takeOver(program, (words) => asked.push(words))
  try {
    await program.parseAsync(argv)
    return typeof process.exitCode === 'number' ? process.exitCode : EXIT.ok
  } catch (error) {
    // Help and version end this way too, with 0; of what was wrong commander has printed its own message.
    if (error instanceof CommanderError) {
      const isAsked = error.exitCode === 0
      const message = isAsked ? PRINTS_ONLY : error.message.replace(/^error: /, '')
      await onFailure(new BackupError('CLI_USAGE', message))
      return isAsked ? await printAsked(program, asked.join('')) : EXIT.usage
    }
    // Where nobody can be told, the status says it alone.
    if (!isTold(error)) await say(program, error)
    await onFailure(error)
    return error instanceof BackupError ? error.exitStatus : EXIT.bug
  }
}

/** For whoever waits for more than a text: the client of an inetd. */
const PRINTS_ONLY = 'expected a command that serves, found one that prints a help text or a version'

/** What commander would write and do by itself: a pipe that is closed (`--help | head`) would end the process as a bug would. */
const takeOver = (command: Command, writeOut: (words: string) => void): void => {
  command.exitOverride().configureOutput({ writeOut })
  for (const below of command.commands) takeOver(below, writeOut)
}

const printAsked = async (program: Command, words: string): Promise<number> => {
  try {
    await print(process.stdout, words)
    return EXIT.ok
  } catch (error) {
    await say(program, error)
    return (error as BackupError).exitStatus
  }
}

const say = (program: Command, error: unknown): Promise<void> =>
  print(process.stderr, `${program.name()}: ${describe(error)}\n`).catch(() => undefined)

const describe = (error: unknown): string => {
  if (!(error instanceof BackupError)) return `bug: ${error instanceof Error ? error.stack : String(error)}`
  const hint = error.hint === undefined ? '' : `\n  hint: ${error.hint}`
  return inert(`${error.message} [${error.code}]${hint}`)
}

/** Names of files and words of an agent stand in it, and nothing but its own line breaks may move the cursor or turn text round. */
const inert = (text: string): string => text.replace(/(?!\n)\p{C}/gu, '?')
