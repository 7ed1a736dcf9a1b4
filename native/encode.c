/* encode.c: output of a container as the inside of a JSON string, at memory speed.
 *
 * Owns: escapes, UTF-8 validation, the text of a time.
 * Leaves to others: what a record looks like around it (log.c).
 *
 * Nearly all output is runs of plain ASCII between newlines, so runs are copied 16 (or 8) bytes at a time, and the copy itself
 * finds where the run ends.
 */
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "log.h"

/* A byte that can't be copied as it is: control characters, '"', '\\', and everything from 0x80 on. */
static int is_special(unsigned char byte)
{
	return byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\';
}

/* Copies plain bytes from *in to *out and stops at a special one or at end. May write (never count) up to 15 bytes more. */
static void copy_plain(unsigned char **out, const unsigned char **in, const unsigned char *end)
{
	unsigned char *to = *out;
	const unsigned char *from = *in;
#if defined(__SSE2__)
	const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	while (end - from >= 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
		_mm_storeu_si128((__m128i *)(void *)to, bytes);
		/* as signed numbers, bytes from 0x80 on are below the space too */
		__m128i found = _mm_or_si128(_mm_cmplt_epi8(bytes, space),
					     _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
		unsigned mask = (unsigned)_mm_movemask_epi8(found);
		if (mask) {
			int run = __builtin_ctz(mask);
			*out = to + run;
			*in = from + run;
			return;
		}
		to += 16;
		from += 16;
	}
#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	while (end - from >= 8) {
		uint64_t word;
		memcpy(&word, from, 8);
		memcpy(to, &word, 8);
		/* "has a byte below n" and "has a zero byte": a borrow can only disturb bytes above the first hit */
		uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
		uint64_t found = word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
				 ((backslash - ones) & ~backslash);
		found &= tops;
		if (found) {
			int run = __builtin_ctzll(found) / 8;
			*out = to + run;
			*in = from + run;
			return;
		}
		to += 8;
		from += 8;
	}
#endif
	while (from < end && !is_special(*from))
		*to++ = *from++;
	*out = to;
	*in = from;
}

/* Bytes of the valid UTF-8 sequence that starts at `in`, or 0. Unicode 15, table 3-7: no overlong forms, no surrogates. */
static size_t utf8_sequence(const unsigned char *in, const unsigned char *end)
{
	size_t left = (size_t)(end - in);
	unsigned char first = in[0];
	if (first >= 0xc2 && first <= 0xdf)
		return left >= 2 && (in[1] & 0xc0) == 0x80 ? 2 : 0;
	if (first >= 0xe0 && first <= 0xef) {
		unsigned char low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
		return left >= 3 && in[1] >= low && in[1] <= high && (in[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		unsigned char low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
		return left >= 4 && in[1] >= low && in[1] <= high && (in[2] & 0xc0) == 0x80 && (in[3] & 0xc0) == 0x80 ? 4
														      : 0;
	}
	return 0;
}

static unsigned char *put_escape(unsigned char *to, const char *prefix, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";
	memcpy(to, prefix, 4);
	to[4] = (unsigned char)hex[byte >> 4];
	to[5] = (unsigned char)hex[byte & 15];
	return to + 6;
}

static unsigned char *put_control(unsigned char *to, unsigned char byte)
{
	static const char letters[0x20] = { ['\b'] = 'b', ['\t'] = 't', ['\f'] = 'f', ['\r'] = 'r' };
	if (!letters[byte])
		return put_escape(to, "\\u00", byte);
	to[0] = '\\';
	to[1] = (unsigned char)letters[byte];
	return to + 2;
}

const unsigned char *mr_encode(unsigned char **out, const unsigned char *data, const unsigned char *end)
{
	unsigned char *to = *out;
	for (;;) {
		copy_plain(&to, &data, end);
		if (data == end || *data == '\n')
			break;
		if (*data < 0x20) {
			to = put_control(to, *data++);
		} else if (*data < 0x80) {
			*to++ = '\\';
			*to++ = *data++;
		} else {
			do {
				size_t length = utf8_sequence(data, end);
				if (length) {
					memcpy(to, data, length);
					to += length;
					data += length;
				} else {
					to = put_escape(to, "\\udc", *data++);
				}
			} while (data < end && *data >= 0x80);
		}
	}
	*out = to;
	return data;
}

static unsigned char *put_number(unsigned char *to, uint64_t value, unsigned digits, unsigned char after)
{
	for (unsigned place = digits; place-- > 0; value /= 10)
		to[place] = (unsigned char)('0' + value % 10);
	to[digits] = after;
	return to + digits + 1;
}

void mr_encode_time(unsigned char *out, uint64_t time_ns)
{
	uint64_t seconds = time_ns / 1000000000u, days = seconds / 86400u, rest = seconds % 86400u;
	/* civil date of a day count, years that begin in March: Howard Hinnant, "chrono-compatible low-level date algorithms" */
	uint64_t shifted = days + 719468u, era = shifted / 146097u, day_of_era = shifted % 146097u;
	uint64_t year_of_era = (day_of_era - day_of_era / 1460u + day_of_era / 36524u - day_of_era / 146096u) / 365u;
	uint64_t day_of_year = day_of_era - (365u * year_of_era + year_of_era / 4u - year_of_era / 100u);
	uint64_t month_from_march = (5u * day_of_year + 2u) / 153u;
	uint64_t day = day_of_year - (153u * month_from_march + 2u) / 5u + 1u;
	uint64_t month = month_from_march < 10u ? month_from_march + 3u : month_from_march - 9u;
	uint64_t year = year_of_era + era * 400u + (month <= 2u ? 1u : 0u);
	out = put_number(out, year, 4, '-');
	out = put_number(out, month, 2, '-');
	out = put_number(out, day, 2, 'T');
	out = put_number(out, rest / 3600u, 2, ':');
	out = put_number(out, rest / 60u % 60u, 2, ':');
	out = put_number(out, rest % 60u, 2, '.');
	put_number(out, time_ns % 1000000000u, 9, 'Z');
}
