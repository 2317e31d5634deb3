#include "pkt-gen/html.h"

#include <stddef.h>
#include <stdint.h>

/* Octets of the character that begins here; 0: none does. */
static unsigned utf8_len(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned len = s[0] < 0x80   ? 1
	                     : s[0] < 0xC0 ? 0
	                     : s[0] < 0xE0 ? 2
	                     : s[0] < 0xF0 ? 3
	                     : s[0] < 0xF8 ? 4
	                                   : 0;
	uint32_t c;

	if (len == 1)
		return s[0] >= ' ' && s[0] != 0x7F;
	c = len > 0 ? s[0] & (0x7Fu >> len) : 0;
	for (unsigned i = 1; i < len; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3Fu);
	}
	/* Longer than need be, surrogates, C1 controls, what is no character. */
	if (len == 0 || c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) || c < 0xA0 ||
	    (c & 0xFFFE) == 0xFFFE)
		return 0;
	return len;
}

void html_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s != '\0') {
		const unsigned len = utf8_len(s);
		switch (*s) {
		case '&': fputs("&amp;", out); break;
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '"': fputs("&quot;", out); break;
		case '\'': fputs("&#39;", out); break;
		default:
			if (len > 0)
				fwrite(s, 1, len, out);
			else
				fputs("\xEF\xBF\xBD", out);
		}
		s += len > 0 ? len : 1;
	}
}
