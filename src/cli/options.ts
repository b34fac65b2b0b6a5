import { type Command, InvalidArgumentError, Option } from 'commander';
import { DURATION_FORM, readDuration } from '../config/duration.js';

/** `--set name=value`, repeatable. */
export function collectSetting(
  text: string,
  before: Readonly<Record<string, string>>,
): Record<string, string> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Write it as name=value, for example log.level=debug.');
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

/** Seconds, from `90s 24h 30d`. */
export function readSeconds(text: string): number {
  const seconds = readDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError(`It is not a duration: ${DURATION_FORM}.`);
  return seconds;
}

export function readCount(text: string): number {
  const count = Number(text);
  if (!/^\d{1,7}$/.test(text) || count < 1) throw new InvalidArgumentError('Give a whole number from 1 on.');
  return count;
}

/** `--scope a b`, `--scope a --scope b` and `--scope "a b"` are the same. */
export function words(given: readonly string[] | undefined): string[] | undefined {
  return given?.flatMap(text => text.split(/\s+/)).filter(text => text !== '');
}

/** An option whose value is one of a few; for a list write `--name <x...>`. */
export function choiceOption(flags: string, says: string, choices: readonly string[]): Option {
  return new Option(flags, says).choices([...choices]);
}

/** What every destructive verb takes. */
export function destructive(command: Command): Command {
  return command.option('--dry-run', 'only say what would happen').option('--yes', 'do not ask');
}

/** `orders.read=en:Read your orders`, for `--scope-text`, repeatable. */
export function collectScopeText(
  text: string,
  before: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
): Record<string, Record<string, string>> {
  const found = /^([^=]+)=([A-Za-z-]+):(.*)$/s.exec(text);
  const [, scope, locale, words] = found ?? [];
  if (scope === undefined || locale === undefined || words === undefined) {
    throw new InvalidArgumentError(
      'Write it as scope=language:text, for example "orders.read=en:Read your orders".',
    );
  }
  const texts = new Map(Object.entries(before));
  texts.set(scope, Object.fromEntries([...Object.entries(texts.get(scope) ?? {}), [locale, words]]));
  return Object.fromEntries(texts);
}
