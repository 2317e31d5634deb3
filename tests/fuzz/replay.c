/*
 * Runs a fuzz target over every file of a corpus, for builds without libFuzzer. An empty or missing
 * directory is a failure: a corpus that is not there must not look like one that passed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* false: not a regular file. The block is exactly as long as the file, for ASan's sake. */
static int run(const char *dir, const char *name)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;

	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc((size_t)st.st_size);
	if (f == NULL || (data == NULL && st.st_size > 0) ||
	    fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	/* Told first: a target that aborts leaves the name of the culprit behind. */
	fprintf(stderr, "%s\n", name);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		const struct dirent *e;
		int ran = 0;

		if (dir == NULL) {
			perror(argv[i]);
			return 1;
		}
		while ((e = readdir(dir)) != NULL)
			ran += run(argv[i], e->d_name);
		closedir(dir);
		printf("%s: %d inputs\n", argv[i], ran);
		if (ran == 0) {
			fprintf(stderr, "%s: the corpus is empty\n", argv[i]);
			return 1;
		}
	}
	return 0;
}
