/**
 * Records the sessions of `fixtures/wire` anew, each in its own situation.
 *
 *     npm run build && node dist/test/wire/record-fixtures.js [NAME…]
 *
 * Every file is recorded from its own client lines, by the command that its header
 * names, and what changed is for `git diff` to show and for a person to judge.
 */

import { CLIENT_PROGRAM as CLIENT } from '../rig/agent-process.ts'
import { mustRun, plainEnvironment } from '../rig/run-program.ts'
import { PASSWORD, SITUATIONS, sessionFiles, TOKEN } from './situations.ts'

const wanted = process.argv.slice(2)
const files = sessionFiles().filter(({ name }) => wanted.length === 0 || wanted.includes(name))

for (const situation of new Set(files.map((file) => file.situation))) {
  for (const { name, file } of files.filter((each) => each.situation === situation)) {
    // A stage of its own for each: a backup that was just cut may still be winding down.
    const stage = await SITUATIONS[situation]('as a program')
    const options = ['--request', file, '--out', file, ...stage.hide.flatMap((text) => ['--hide', text])]
    await mustRun(process.execPath, [CLIENT, 'record', `${stage.host}:${stage.port}`, ...options], {
      environment: { ...plainEnvironment(), BACKUP_PASSWORD: PASSWORD, KV_BACKUP_TOKEN: TOKEN },
    })
    await stage.leave()
    console.log(`${name} (${situation})`)
  }
}
