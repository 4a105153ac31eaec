/**
 * Functions: what a query may call. The engine knows more of them, and among those are some that open files; a list of what
 * is harmless stays right when a later version brings others, and a list of what is not would not.
 *
 * A name on the list that the engine does not have is refused by the engine, so the list may be generous.
 */

/** One value for many rows, which falls apart over parts: the partial answers can be put together to the whole one. */
export const FOLDING: ReadonlySet<string> = new Set(['count', 'sum', 'min', 'max', 'avg']);

/** One value for many rows, of which all are needed at once. */
const AGGREGATES = words(`
  any_value approx_count_distinct approx_distinct array_agg bool_and bool_or corr covar covar_pop covar_samp every first
  last listagg median mode n_unique percentile_cont percentile_disc quantile quantile_cont quantile_disc std stddev
  stddev_pop stddev_samp stdev stdev_samp string_agg var var_pop var_samp variance
`);

/** What a row has to do with the rows around it, or with how many there are. */
const OF_ROWS = words(`
  columns cum_count cum_max cum_min cum_sum cume_dist dense_rank explode first_value lag last_value lead nth_value ntile
  percent_rank rank row_number unnest
`);

/** From the values of one row, another: the same wherever the row stands. */
export const OF_VALUES: ReadonlySet<string> = words(`
  abs acos acosd array_contains array_get array_length array_lower array_max array_mean array_median array_min
  array_reverse array_sum array_to_string array_unique array_upper ascii asin asind atan atan2 atan2d atand bit_and
  bit_count bit_length bit_not bit_or bit_xor bitand bitcount bitor bitxor btrim cast cbrt ceil ceiling char_length
  character_length chr coalesce concat concat_ws contains cos cosd cot cotd date date_part date_trunc datetime day
  degrees div ends_with exp extract floor format greatest hex hour if ifnull iif initcap isnull least left len length
  list_contains ln log log10 log1p log2 lower lpad ltrim md5 minute mod month normalize nullif nvl octet_length overlay
  pi position pow power quarter radians regexp_like regexp_replace repeat replace reverse right round rpad rtrim safe_cast
  second sha256 sign sin sind split split_part sqrt starts_with str_to_date strftime string_to_array strpos strptime
  substr substring tan tand time timestamp to_char to_date to_timestamp translate trim trunc truncate try_cast unhex upper
  week xor year
`);

export const FUNCTIONS: ReadonlySet<string> = new Set([...FOLDING, ...AGGREGATES, ...OF_ROWS, ...OF_VALUES]);

/** Types that take a number in brackets. */
const TYPES = words(`
  binary bit char character dec decimal double fixed float nchar numeric nvarchar time timestamp varbinary varchar
`);

/** Words of the grammar that a bracket may follow without being called. */
const BEFORE_BRACKETS = words(`
  all and any array as asc between by case cross cube desc distinct else end escape except exclude exists filter from
  group having ilike in intersect interval is join like limit not offset on or order over partition qualify rename rlike
  rollup row select sets similar some struct then to union using varying when where within
`);

/** Whether a bracket behind this word is harmless. */
export function mayPrecedeBracket(word: string): boolean {
  const lower = word.toLowerCase();
  return FUNCTIONS.has(lower) || TYPES.has(lower) || BEFORE_BRACKETS.has(lower);
}

/** Whether a bracket behind this word makes it a call. */
export function isFunction(word: string): boolean {
  return FUNCTIONS.has(word.toLowerCase()) && !BEFORE_BRACKETS.has(word.toLowerCase());
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}
