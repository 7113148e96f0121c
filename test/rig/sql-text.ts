/** Writes values into SQL, and reads what the `mariadb` client prints in batch mode. */

/** A string literal; for servers with the default `sql_mode`. */
export const quoteText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

/** A name of a database, table, column. */
export const quoteName = (name: string): string => `\`${name.replaceAll('`', '``')}\``

/** One row, in the order of the columns; everything is text, and SQL's NULL is the word `NULL`. */
export type Row = readonly string[]

/**
 * Reads `mariadb --batch --skip-column-names`: a line for each row, tabs between columns, and
 * the bytes that would be mistaken for those written as `\t`, `\n`, `\0` and `\\`.
 */
export const parseRows = (output: string): Row[] =>
  output
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t').map(unescapeField))

const ESCAPES: Readonly<Record<string, string>> = { '\\t': '\t', '\\n': '\n', '\\0': '\0', '\\\\': '\\' }

const unescapeField = (field: string): string => field.replace(/\\[tn0\\]/g, (escaped) => ESCAPES[escaped] ?? escaped)
