/**
 * Configurations for tests: files in a directory of their own, and what is read from them.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type Configuration, type ConfigurationSources, readConfiguration } from '../../lib/config/index.ts'
import { BackupError } from '../../lib/errors/index.ts'

export class ConfigurationDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'configuration-'))
  #files = 0

  /** A file with this text; its name ends with `.toml`. */
  file(text: string, mode = 0o640): string {
    this.#files += 1
    const path = join(this.path, `${this.#files}.toml`)
    writeFileSync(path, text, { mode })
    return path
  }

  remove(): void {
    rmSync(this.path, { recursive: true })
  }
}

/** Nothing is said anywhere, unless the test says it. */
export const read = (sources: Partial<ConfigurationSources> = {}): Promise<Configuration> =>
  readConfiguration({
    options: {},
    environment: {},
    workingDirectory: '/srv/here',
    defaultFile: '/nowhere/agent.toml',
    ...sources,
  })

/** The mistakes that a configuration is refused with, one line each. */
export const mistakesOf = async (sources: Partial<ConfigurationSources>): Promise<readonly string[]> => {
  try {
    await read(sources)
    return []
  } catch (error) {
    if (error instanceof BackupError && error.code === 'CONFIG_INVALID') return error.facts['mistakes'] as string[]
    throw error
  }
}
