/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Print the tables of docs/filesystem.md from the rows that the filesystem is made of. Run at build
 * time; a test compares the output with the file in the repository.
 */
#include "core/engine/quota_text.h"
#include "files.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum dir_kind kind;
    const char *title;
} chapters[] = {
    {DIR_ROOT, "/chronos"},
    {DIR_CONFIG, "/chronos/config"},
    {DIR_USERS, "/chronos/users"},
    {DIR_USER, "/chronos/users/NAME"},
    {DIR_GROUPS, "/chronos/groups"},
    {DIR_GROUP, "/chronos/groups/NAME"},
    {DIR_DEVICE, "/chronos/gpuN"},
    {DIR_PARTITIONS, "/chronos/partitions"},
    {DIR_PARTITION, "/chronos/gpuN/pN"},
};

static void print_chapter(enum dir_kind kind, const char *title)
{
    const struct file_row *row = tree_table[kind].rows;
    printf("### %s\n\n%c%s.\n", title, tree_table[kind].doc[0] - 'a' + 'A',
           tree_table[kind].doc + 1);
    if (row->name)
        printf("\n| file | %s | |\n|---|---|---|\n", kind == DIR_CONFIG ? "default" : "mode");
    for (; row->name; row++) {
        const struct policy_row *policy = kind == DIR_CONFIG ? policy_find(row->name) : NULL;
        const char *value = policy               ? policy->default_value
                            : kind == DIR_CONFIG ? "pending 10" /* of quota */
                                                 : NULL;
        if (value)
            printf("| %s | %s%s%s | %s |\n", row->name, *value ? "`" : "", value, *value ? "`" : "",
                   row->doc);
        else
            printf("| %s | %04o | %s |\n", row->name, (unsigned)row->mode, row->doc);
    }
    printf("\n");
}

int main(void)
{
    for (size_t i = 0; i < sizeof(chapters) / sizeof(chapters[0]); i++)
        print_chapter(chapters[i].kind, chapters[i].title);
    printf("### A request\n\n    AMOUNT DURATION [key=value | word]...\n\n| word | |\n|---|---|\n");
    for (const struct request_word *word = request_words; word->name; word++)
        printf("| `%s%s%s` | %s |\n", word->name, word->value ? "=" : "",
               word->value ? word->value : "", word->doc);
    printf("\n### A quota\n\n| key | default | |\n|---|---|---|\n");
    for (int key = 0; key < QUOTA_KEYS; key++) {
        char standard[QUOTA_TEXT_MAX];
        quota_text_limit((enum quota_key)key, quota_standard.limit[key], standard);
        printf("| %s | `%s` | %s |\n", quota_text_key((enum quota_key)key), standard,
               quota_text_doc((enum quota_key)key));
    }
    return 0;
}
