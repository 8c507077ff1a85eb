/* Plain YAML scalars: which of them are null, bool, int or float (YAML 1.2 core schema, 10.3.2). */
#include "base/yaml.h"

#include <ctype.h>
#include <math.h>

#include "base/mem.h"

enum { NUMBER_TEXT_MAX = 128 };

static const struct word {
	const char *text;
	enum yaml_type type;
	bool boolean;
	double number;
} words[] = {
	{"", YAML_NULL, false, 0},
	{"~", YAML_NULL, false, 0},
	{"null", YAML_NULL, false, 0},
	{"Null", YAML_NULL, false, 0},
	{"NULL", YAML_NULL, false, 0},
	{"true", YAML_BOOL, true, 0},
	{"True", YAML_BOOL, true, 0},
	{"TRUE", YAML_BOOL, true, 0},
	{"false", YAML_BOOL, false, 0},
	{"False", YAML_BOOL, false, 0},
	{"FALSE", YAML_BOOL, false, 0},
	{".inf", YAML_FLOAT, false, HUGE_VAL},
	{".Inf", YAML_FLOAT, false, HUGE_VAL},
	{".INF", YAML_FLOAT, false, HUGE_VAL},
	{"+.inf", YAML_FLOAT, false, HUGE_VAL},
	{"+.Inf", YAML_FLOAT, false, HUGE_VAL},
	{"+.INF", YAML_FLOAT, false, HUGE_VAL},
	{"-.inf", YAML_FLOAT, false, -HUGE_VAL},
	{"-.Inf", YAML_FLOAT, false, -HUGE_VAL},
	{"-.INF", YAML_FLOAT, false, -HUGE_VAL},
	{".nan", YAML_FLOAT, false, NAN},
	{".NaN", YAML_FLOAT, false, NAN},
	{".NAN", YAML_FLOAT, false, NAN},
};

static bool resolve_word(struct yaml_node *node)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!str_is(node->text, words[i].text))
			continue;
		node->type = words[i].type;
		node->boolean = words[i].boolean;
		node->number = words[i].number;
		return true;
	}
	return false;
}

/* The base of an integer, 0 when the text is none. */
static int integer_base(struct str s)
{
	int base = 10;
	size_t i = 0;

	if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'o' || s.p[1] == 'x')) {
		base = s.p[1] == 'o' ? 8 : 16;
		i = 2;
	} else if (s.n > 1 && (s.p[0] == '-' || s.p[0] == '+')) {
		i = 1;
	}
	for (; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (base == 16 ? !isxdigit(c) : c < '0' || c >= '0' + base)
			return 0;
	}
	return base;
}

static size_t skip_digits(struct str s, size_t i)
{
	while (i < s.n && isdigit((unsigned char)s.p[i]))
		i++;
	return i;
}

/* [-+]? ( "." [0-9]+ | [0-9]+ ( "." [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(struct str s)
{
	size_t i = 0, from, digits;

	if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
		i++;
	from = i;
	i = skip_digits(s, i);
	digits = i - from;
	if (i < s.n && s.p[i] == '.') {
		from = ++i;
		i = skip_digits(s, i);
		digits += i - from;
	}
	if (!digits)
		return false;
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		i++;
		if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
			i++;
		from = i;
		i = skip_digits(s, i);
		if (i == from)
			return false;
	}
	return i == s.n;
}

static bool resolve_integer(struct yaml_node *node, const char *text, int base)
{
	const char *digits = base == 10 ? text : text + 2;

	errno = 0;
	node->type = YAML_INT;
	node->integer = strtoll(digits, NULL, base);
	node->number = (double)node->integer;
	if (errno == 0)
		return true;
	node->type = YAML_FLOAT;
	node->integer = 0;
	return false;
}

bool yaml_resolve(struct yaml_node *node)
{
	char text[NUMBER_TEXT_MAX];
	int base;

	if (resolve_word(node))
		return true;
	base = integer_base(node->text);
	node->type = base || is_float(node->text) ? YAML_FLOAT : YAML_STRING;
	if (node->type == YAML_STRING)
		return true;
	if (node->text.n >= sizeof text)
		return false;
	memcpy(text, node->text.p, node->text.n);
	text[node->text.n] = '\0';
	if (base)
		return resolve_integer(node, text, base);
	node->number = strtod(text, NULL);
	return isfinite(node->number);
}
