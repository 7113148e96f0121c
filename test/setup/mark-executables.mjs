/**
 * After a build: makes the programs in package.json's `bin` executable.
 *
 * The compiler writes plain files. npm sets the bit when it installs a package, but a
 * checkout runs the files where they are. Refuses a program that lost its first line,
 * because the kernel would then hand it to a shell.
 */

import { chmodSync, readFileSync } from 'node:fs'

const SHEBANG = '#!/usr/bin/env node\n'

const root = new URL('../../', import.meta.url)
const { bin } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))

for (const [name, path] of Object.entries(bin)) {
  const file = new URL(path, root)
  if (!readFileSync(file, 'utf8').startsWith(SHEBANG)) {
    console.error(`${path} (${name}): expected the first line ${JSON.stringify(SHEBANG)}`)
    process.exit(1)
  }
  chmodSync(file, 0o755)
}
