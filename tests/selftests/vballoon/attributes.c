// SPDX-License-Identifier: GPL-2.0
/*
 * Each attribute of a bound device: it is there, looks as documented, and takes
 * what it should and nothing else.
 */
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "balloon.h"

FIXTURE(balloon) {
	char device[32];
	char text[4096];
};

FIXTURE_SETUP(balloon)
{
	const char *why = balloon_need_bound();

	if (why)
		SKIP(return, "%s", why);
	balloon_device(self->device, sizeof(self->device));
	ASSERT_NE('\0', self->device[0]);
}

FIXTURE_TEARDOWN(balloon)
{
}

static const char *path_of(const char *device, const char *attribute)
{
	static char path[640];

	snprintf(path, sizeof(path), DRIVER "/%s/balloon/%s", device, attribute);
	return path;
}

/* The file's text without its newline, or NULL. */
static char *get_line(const char *path, char text[4096])
{
	int len = file_read(path, text, 4096);

	if (len < 1 || text[len - 1] != '\n')
		return NULL;
	text[len - 1] = '\0';
	return text;
}

static char *get(const char *device, const char *attribute, char text[4096])
{
	return get_line(path_of(device, attribute), text);
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) &&
	       (text[0] != '0' || !text[1]);
}

static unsigned long long get_number(const char *device, const char *attribute)
{
	char text[4096];

	if (!get(device, attribute, text) || !is_number(text))
		return ULLONG_MAX;
	return strtoull(text, NULL, 10);
}

static bool one_of(const char *word, const char *const *known, unsigned int nr)
{
	while (nr--)
		if (!strcmp(word, known[nr]))
			return true;
	return false;
}

static const char names[][24] = {
	"reserve_bytes", "target_bytes", "actual_bytes", "moving_bytes",
	"block_bytes", "hint_bytes",
#define NR_SIZES	6
	"state", "limited_by", "engine",
};

TEST_F(balloon, modes)
{
	struct stat st;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		ASSERT_EQ(0, stat(path_of(self->device, names[i]), &st)) {
			TH_LOG("%s: %s", names[i], strerror(errno));
		}
		EXPECT_EQ(i ? 0444 : 0644, st.st_mode & 07777) {
			TH_LOG("%s", names[i]);
		}
	}
}

TEST_F(balloon, sizes_are_sizes)
{
	unsigned long long number;
	unsigned int i;

	for (i = 0; i < NR_SIZES; i++) {
		number = get_number(self->device, names[i]);
		EXPECT_NE(ULLONG_MAX, number) {
			TH_LOG("%s", names[i]);
		}
		EXPECT_EQ(0ULL, number % getpagesize()) {
			TH_LOG("%s: %llu", names[i], number);
		}
	}
}

/* Whichever counters there are: a number each, which nobody can write. */
TEST_F(balloon, counters_are_numbers)
{
	glob_t found = { 0 };
	struct stat st;
	char *number;
	size_t i;

	ASSERT_EQ(0, glob(path_of(self->device, "stats/*"), 0, NULL, &found));
	for (i = 0; i < found.gl_pathc; i++) {
		number = get_line(found.gl_pathv[i], self->text);
		EXPECT_TRUE(number && is_number(number)) {
			TH_LOG("%s", found.gl_pathv[i]);
		}
		EXPECT_EQ(0, stat(found.gl_pathv[i], &st));
		EXPECT_EQ(0444, st.st_mode & 07777) {
			TH_LOG("%s", found.gl_pathv[i]);
		}
		EXPECT_GT(0, file_write(found.gl_pathv[i], "0")) {
			TH_LOG("%s", found.gl_pathv[i]);
		}
	}
	globfree(&found);
}

TEST_F(balloon, state_is_known)
{
	static const char *const states[] = {
		"idle", "inflating", "deflating", "limited", "silent", "broken",
		"stopped"
	};
	char *state = get(self->device, "state", self->text);

	ASSERT_NE(NULL, state);
	EXPECT_TRUE(one_of(state, states, ARRAY_SIZE(states))) {
		TH_LOG("%s", state);
	}
}

TEST_F(balloon, limit_is_known)
{
	static const char *const limits[] = {
		"none", "reserve", "memory", "oom", "host"
	};
	char *limit = get(self->device, "limited_by", self->text);

	ASSERT_NE(NULL, limit);
	EXPECT_TRUE(one_of(limit, limits, ARRAY_SIZE(limits))) {
		TH_LOG("%s", limit);
	}
}

TEST_F(balloon, read_only)
{
	unsigned int i;

	for (i = 1; i < ARRAY_SIZE(names); i++)
		EXPECT_GT(0, file_write(path_of(self->device, names[i]), "0")) {
			TH_LOG("%s", names[i]);
		}
}

TEST_F(balloon, reserve_takes_sizes)
{
	static const struct {
		const char *text;
		unsigned long long bytes;
	} good[] = {
		{ "67108864", 64 << 20 },
		{ "67108864\n", 64 << 20 },
		{ "65536K", 64 << 20 },
		{ "65536k\n", 64 << 20 },
		{ "64M", 64 << 20 },
		{ " 64m ", 64 << 20 },
	};
	unsigned long long page = getpagesize();
	unsigned long long normal;
	const char *path;
	unsigned int i;

	path = path_of(self->device, "reserve_bytes");
	ASSERT_LT(0, file_write(path, "auto\n"));
	normal = get_number(self->device, "reserve_bytes");
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		ASSERT_LT(0, file_write(path, "8M"));
		EXPECT_EQ((int)strlen(good[i].text),
			  file_write(path, good[i].text));
		EXPECT_EQ(good[i].bytes,
			  get_number(self->device, "reserve_bytes")) {
			TH_LOG("'%s'", good[i].text);
		}
	}
	/* A part of a page is a page. */
	EXPECT_EQ(1, file_write(path, "1"));
	EXPECT_EQ(page, get_number(self->device, "reserve_bytes"));
	ASSERT_LT(0, file_write(path, "auto"));
	EXPECT_EQ(normal, get_number(self->device, "reserve_bytes"));
}

TEST_F(balloon, reserve_refuses_nonsense)
{
	static const struct {
		const char *text;
		int rc;
	} bad[] = {
		{ "\n", -EINVAL },
		{ " ", -EINVAL },
		{ "0", -EINVAL },
		{ "0M", -EINVAL },
		{ "-1", -EINVAL },
		{ "- 1", -EINVAL },
		{ "M", -EINVAL },
		{ "64Q", -EINVAL },
		{ "64 M", -EINVAL },
		{ "64M1", -EINVAL },
		{ "64MM", -EINVAL },
		{ "64MB", -EINVAL },
		{ "1.5G", -EINVAL },
		{ "64M 64M", -EINVAL },
		{ "automatic", -EINVAL },
		{ "none", -EINVAL },
		{ "64M                                           x", -EINVAL },
		/* more than there is, and more than 64 bits hold */
		{ "1048576G", -ERANGE },
		{ "18446744073709551615", -ERANGE },
		{ "18446744073709551616", -ERANGE },
		{ "18446744073709551617", -ERANGE },
		{ "18014398509481985K", -ERANGE },
		{ "17592186044417M", -ERANGE },
		{ "17179869185G", -ERANGE },
	};
	const char *path = path_of(self->device, "reserve_bytes");
	unsigned int i;

	ASSERT_LT(0, file_write(path, "96M"));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(bad[i].rc, file_write(path, bad[i].text)) {
			TH_LOG("'%s'", bad[i].text);
		}
		EXPECT_EQ(96ULL << 20,
			  get_number(self->device, "reserve_bytes")) {
			TH_LOG("'%s'", bad[i].text);
		}
	}
	ASSERT_LT(0, file_write(path, "auto"));
}

TEST_HARNESS_MAIN
