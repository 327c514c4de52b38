/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree whose files hold any bytes, and any list of partitions in the environment: a client
 * library inside other people's programs stays within its buffers.
 */
#include "files.h"
#include "tools/libchronos/client.h"

#include <string.h>

static int directory = -1;
static const struct chronos_field fields[] = {{"file", "a", CHRONOS_TEXT, 0, ""},
                                              {"file", "b", CHRONOS_NUMBER, 1, ""},
                                              {"file", "c", CHRONOS_TEXT, 3, ""},
                                              {NULL, NULL, CHRONOS_TEXT, 0, NULL}};

static void read_files(const uint8_t *data, size_t size)
{
    char text[64], *all = NULL;
    uint64_t number;
    struct chronos_record record;
    REQUIRE(chronos_read(directory, "file", text, sizeof(text)) == 0);
    REQUIRE(strnlen(text, sizeof(text)) < sizeof(text));
    REQUIRE(chronos_read_all(directory, "file", &all) == 0);
    REQUIRE(memcmp(all, data, size) == 0 && all[size] == '\0');
    free(all);
    REQUIRE(chronos_record_load(directory, fields, CHRONOS_ALL, &record) == 0);
    for (size_t i = 0; fields[i].file; i++)
        REQUIRE(strnlen(record.value[i], CHRONOS_VALUE_MAX) < CHRONOS_VALUE_MAX);
    char path[128];
    snprintf(path, sizeof(path), "%s/tree", files_directory());
    if (chronos_read_line(path, "file", text, sizeof(text)) == 0)
        REQUIRE(strnlen(text, sizeof(text)) < sizeof(text) && !strchr(text, '\n'));
    if (chronos_read_number(path, "file", &number) == 0)
        REQUIRE(number == strtoull((const char *)text, NULL, 10));
}

/* What is understood is written the same way again. */
static void parse(const char *text)
{
    uint64_t id;
    unsigned index;
    char again[32];
    if (chronos_parse_id(text, &id)) {
        snprintf(again, sizeof(again), "p%ju", (uintmax_t)id);
        REQUIRE(strcmp(again, text) == 0);
    }
    if (chronos_parse_device(text, &index)) {
        snprintf(again, sizeof(again), "gpu%u", index);
        REQUIRE(strcmp(again, text) == 0 || strcmp(again + 3, text) == 0);
    }
    chronos_number(text);
}

static void split(const char *text, size_t length)
{
    static struct chronos_line line;
    chronos_line_split(text, length, &line);
    REQUIRE(line.count <= CHRONOS_LINE_WORDS);
    for (size_t i = 0; i < line.count; i++)
        REQUIRE(line.words[i] >= line.text && line.words[i] < line.text + sizeof(line.text));
    const char *value = chronos_line_value(&line, "device");
    REQUIRE(strlen(value) < sizeof(line.text));
}

static void request(char *text)
{
    char line[80] = "", *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word; word = strtok_r(NULL, "\n", &rest)) {
        chronos_request_add(line, sizeof(line), line[0] ? "key" : NULL, word);
        REQUIRE(strnlen(line, sizeof(line)) < sizeof(line));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file;
    struct chronos_environment environment;
    if (directory < 0) {
        file = files_open("tree", "file");
        char path[128];
        snprintf(path, sizeof(path), "%s/tree", files_directory());
        directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    char *text = strndup((const char *)data, size);
    REQUIRE(text);
    files_put(file, data, size);
    read_files(data, size);
    parse(text);
    split(text, strlen(text));
    setenv("CHRONOS_PARTITION", text, 1);
    REQUIRE(chronos_environment_read(&environment) == 0);
    REQUIRE(environment.count <= CHRONOS_PARTITIONS_MAX);
    for (unsigned i = 0; i < environment.count; i++)
        REQUIRE(environment.directory[i][0] != '\0' && !strchr(environment.directory[i], ':'));
    chronos_environment_release(&environment);
    request(text);
    free(text);
    return 0;
}
