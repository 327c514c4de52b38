/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parse the command line, in our own form and as mount(8) calls a helper. An option that is not in
 * a table here is refused. It must not access the system.
 */
#include "options.h"

#include "core/base/help_row.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

const struct option_row options_rows[] = {
    {"-f", NULL, NULL, "stay in the foreground and log to standard error"},
    {"--state-dir", "DIR",
     "/var/lib/chronos for root, else $XDG_STATE_HOME/chronos or ~/.local/state/chronos",
     "keep the state in DIR, created if missing; only one mount at a time can use it"},
    {"--config", "FILE", NULL,
     "set the policy, the files of config/, from FILE at every start and reload"},
    {"--simulate", "DEVICES", NULL, "use simulated devices, as in 4x80G or 2x80G,24G"},
    {"--devices", "DEVICES", "all",
     "manage only these devices and leave the others alone: numbers, uuids or PCI addresses, "
     "separated by +"},
    {"--store", "sqlite|memory", "sqlite",
     "where to keep the state; memory loses it when the worker ends"},
    {"--process-tracking", "auto|cgroup|process-tree", "auto",
     "how to track the processes of a partition: by cgroup, or by their parents; auto uses cgroups "
     "where available"},
    {"-o", "OPTIONS", NULL, "mount options, separated by commas"},
    {"--check-config", "FILE", NULL, "mount nothing; say whether --config would take FILE"},
    {"--restore-device-access", NULL, NULL,
     "mount nothing; restore the device nodes that a daemon which died left restricted by "
     "config/device_access"},
    {"--restore", "FILE", NULL,
     "mount nothing; replace the state in the state directory by a backup that chronos backup "
     "made"},
    {"--any-machine", NULL, NULL, "with --restore: also a backup of another machine"},
    {"--version", NULL, NULL, "print the version"},
    {"--help", NULL, NULL, "print this help"},
    {"-o state_dir", "DIR", NULL, "as --state-dir"},
    {"-o config", "FILE", NULL, "as --config"},
    {"-o simulate", "DEVICES", NULL, "as --simulate; write \\, for a comma"},
    {"-o devices", "DEVICES", NULL, "as --devices"},
    {"-o store", "sqlite|memory", NULL, "as --store"},
    {"-o process_tracking", "auto|cgroup|process-tree", NULL, "as --process-tracking"},
    {"-o allow_other", NULL, "on for root",
     "allow access by other users; without root, needs user_allow_other in /etc/fuse.conf"},
    {"-o ro", NULL, NULL, "read-only: no requests or changes through this mount"},
    {"-o remount", NULL, NULL, "make a mounted tree read-only (with ro) or writable (with rw)"},
    {NULL, NULL, NULL, NULL},
};

/* Accepted and ignored: options that mount(8), fstab and systemd add, that are for other programs,
 * that state what this filesystem does anyway, or that a tree without contents on a disk and
 * without programs cannot break. Shell patterns. */
static const char *const dropped[] = {
    "defaults",      "rw",           "suid",       "nosuid",     "dev",
    "nodev",         "exec",         "noexec",     "atime",      "noatime",
    "relatime",      "norelatime",   "diratime",   "nodiratime", "strictatime",
    "nostrictatime", "lazytime",     "nolazytime", "async",      "sync",
    "dirsync",       "mand",         "nomand",     "iversion",   "noiversion",
    "symfollow",     "nosymfollow",  "auto",       "noauto",     "user",
    "nouser",        "user=*",       "users",      "nousers",    "owner",
    "noowner",       "group",        "nogroup",    "nofail",     "_netdev",
    "silent",        "loud",         "x-*",        "X-*",        "comment=*",
    "helper=*",      "uhelper=*",    "fsname=*",   "subtype=*",  "default_permissions",
    "nonempty",      "auto_unmount", "user_id=*",  "group_id=*", NULL,
};

/* An option with a value, and the buffer for it. */
struct setting {
    const char *name;
    char *value;
    size_t size;
};

static int set_value(const struct setting *setting, const char *value, struct message *message)
{
    size_t length = strlen(value);
    if (length == 0)
        return message_set(-EINVAL, message, "%s needs a value: %s=...", setting->name,
                           setting->name);
    if (length >= setting->size)
        return message_set(-EINVAL, message, "The value of %s is too long.", setting->name);
    memcpy(setting->value, value, length + 1);
    return 0;
}

/* `name` is "state_dir", or "--state-dir" of a long option. */
static struct setting find_setting(struct options *options, const char *name)
{
    if (strcmp(name, "state_dir") == 0 || strcmp(name, "--state-dir") == 0)
        return (struct setting){name, options->state_dir, sizeof(options->state_dir)};
    if (strcmp(name, "config") == 0 || strcmp(name, "--config") == 0 ||
        strcmp(name, "--check-config") == 0)
        return (struct setting){name, options->config, sizeof(options->config)};
    if (strcmp(name, "simulate") == 0 || strcmp(name, "--simulate") == 0)
        return (struct setting){name, options->simulate, sizeof(options->simulate)};
    if (strcmp(name, "devices") == 0 || strcmp(name, "--devices") == 0)
        return (struct setting){name, options->devices, sizeof(options->devices)};
    if (strcmp(name, "store") == 0 || strcmp(name, "--store") == 0)
        return (struct setting){name, options->store, sizeof(options->store)};
    if (strcmp(name, "--restore") == 0)
        return (struct setting){name, options->restore, sizeof(options->restore)};
    if (strcmp(name, "process_tracking") == 0 || strcmp(name, "--process-tracking") == 0)
        return (struct setting){name, options->proctrack, sizeof(options->proctrack)};
    return (struct setting){NULL, NULL, 0};
}

static bool is_dropped(const char *word)
{
    for (size_t i = 0; dropped[i]; i++) {
        if (fnmatch(dropped[i], word, 0) == 0)
            return true;
    }
    return false;
}

static int take_mount_option(struct options *options, char *word, struct message *message)
{
    if (word[0] == '\0' || is_dropped(word)) {
        if (strcmp(word, "rw") == 0)
            options->read_only = false; /* the last one counts, as in mount(8) */
        return 0;
    }
    bool *flag = strcmp(word, "allow_other") == 0 ? &options->allow_other
                 : strcmp(word, "ro") == 0        ? &options->read_only
                 : strcmp(word, "remount") == 0   ? &options->remount
                                                  : NULL;
    if (flag) {
        *flag = true;
        return 0;
    }
    char *equals = strchr(word, '=');
    if (equals)
        *equals = '\0';
    struct setting setting = find_setting(options, word);
    if (!setting.name || word[0] == '-')
        return message_set(-EINVAL, message, "Unknown mount option \"%.100s\"; see --help.", word);
    return set_value(&setting, equals ? equals + 1 : "", message);
}

/* Take the next word of a comma-separated list; "\," and commas within double quotes are part of a
 * word. Returns false if it is too long. */
static bool next_word(const char **list, char *word, size_t size)
{
    size_t length = 0;
    bool quoted = false;
    for (; **list != '\0' && (quoted || **list != ','); (*list)++) {
        if (**list == '"') {
            quoted = !quoted;
            continue;
        }
        if (**list == '\\' && (*list)[1] != '\0')
            (*list)++;
        if (length + 1 >= size)
            return false;
        word[length++] = **list;
    }
    word[length] = '\0';
    return true;
}

static int take_mount_options(struct options *options, const char *list, struct message *message)
{
    char word[PATH_MAX + 32];
    for (;;) {
        if (!next_word(&list, word, sizeof(word)))
            return message_set(-EINVAL, message, "A word after -o is too long.");
        int r = take_mount_option(options, word, message);
        if (r || *list == '\0')
            return r;
        list++;
    }
}

/* The arguments while they are parsed. */
struct arguments {
    int count, next;
    char **all;
    bool helper; /* called by mount(8) */
    int positional_count;
    const char *positional[2];
};

/* The value of an option: the rest of its word, or the next word. */
static const char *take_value(struct arguments *arguments, const char *rest)
{
    if (rest[0] != '\0')
        return rest;
    return arguments->next < arguments->count ? arguments->all[arguments->next++] : NULL;
}

static int take_long(struct options *options, struct arguments *arguments, const char *word,
                     struct message *message)
{
    char name[32] = "";
    size_t length = strcspn(word, "=");
    if (length < sizeof(name))
        memcpy(name, word, length);
    if (strcmp(word, "--help") == 0 || strcmp(word, "--version") == 0) {
        *(word[2] == 'h' ? &options->help : &options->version) = true;
        return 0;
    }
    bool *flag = strcmp(word, "--restore-device-access") == 0 ? &options->restore_devacl
                 : strcmp(word, "--any-machine") == 0         ? &options->any_machine
                                                              : NULL;
    if (flag) {
        *flag = true;
        return 0;
    }
    struct setting setting = find_setting(options, name);
    if (!setting.name)
        return message_set(-EINVAL, message, "Unknown option %.100s; see --help.", word);
    const char *value = word[length] == '=' ? word + length + 1 : take_value(arguments, "");
    if (!value)
        return message_set(-EINVAL, message, "%s needs a value.", name);
    options->check_config |= strcmp(name, "--check-config") == 0;
    return set_value(&setting, value, message);
}

/* Parse one word of short options; some have other meanings for mount(8). */
static int take_short(struct options *options, struct arguments *arguments, const char *word,
                      struct message *message)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        if (*letter == 'o' || (arguments->helper && strchr("tN", *letter))) {
            const char *value = take_value(arguments, letter + 1);
            if (!value)
                return message_set(-EINVAL, message, "-%c needs a value.", *letter);
            return *letter == 'o' ? take_mount_options(options, value, message) : 0;
        }
        if (*letter == 'f')
            *(arguments->helper ? &options->fake : &options->foreground) = true;
        else if (!arguments->helper || !strchr("snv", *letter))
            return message_set(-EINVAL, message, "Unknown option -%c; see --help.", *letter);
    }
    return 0;
}

static int take_positional(struct arguments *arguments, const char *word, struct message *message)
{
    if (arguments->positional_count == 2)
        return message_set(-EINVAL, message,
                           "Unexpected argument \"%.100s\"; give one mount point.", word);
    arguments->positional[arguments->positional_count++] = word;
    return 0;
}

/* In `SOURCE DIR` the source is only shown. */
static int finish(struct options *options, const struct arguments *arguments,
                  struct message *message)
{
    struct setting mount_point = {"the mount point", options->mount_point,
                                  sizeof(options->mount_point)};
    if (options->help || options->version || options->check_config)
        return 0;
    bool restores = options->restore_devacl || options->restore[0] != '\0';
    if (options->any_machine && options->restore[0] == '\0')
        return message_set(-EINVAL, message,
                           "--any-machine is for --restore FILE; add that or remove it.");
    if (restores && arguments->positional_count > 0)
        return message_set(-EINVAL, message, "%s takes no mount point; remove it or \"%.100s\".",
                           options->restore_devacl ? "--restore-device-access" : "--restore FILE",
                           arguments->positional[0]);
    if (options->restore_devacl && options->restore[0] != '\0')
        return message_set(-EINVAL, message,
                           "--restore and --restore-device-access cannot be combined; run one "
                           "after the other.");
    if (restores)
        return 0;
    if (arguments->positional_count == 0)
        return message_set(
            -EINVAL, message,
            "No mount point; give the directory to mount on, as in chronosfs /chronos.");
    if (strcmp(options->store, "sqlite") != 0 && strcmp(options->store, "memory") != 0)
        return message_set(-EINVAL, message, "Unknown store \"%s\"; use sqlite or memory.",
                           options->store);
    if (strcmp(options->proctrack, "auto") != 0 && strcmp(options->proctrack, "cgroup") != 0 &&
        strcmp(options->proctrack, "process-tree") != 0)
        return message_set(-EINVAL, message,
                           "Unknown process tracking \"%s\"; use auto, cgroup or process-tree.",
                           options->proctrack);
    const char *path = arguments->positional[arguments->positional_count - 1];
    if (path[0] == '\0')
        return message_set(-EINVAL, message, "The mount point is empty; give a directory.");
    if (strchr(path, ':'))
        return message_set(
            -EINVAL, message,
            "A mount point must not contain a colon: lists of partitions are separated by colons.");
    struct setting source = {"the source", options->source, sizeof(options->source)};
    int r = set_value(&mount_point, path, message);
    bool given = arguments->positional_count == 2 && arguments->positional[0][0] != '\0';
    return r || !given ? r : set_value(&source, arguments->positional[0], message);
}

int options_parse(int argc, char **argv, struct options *ret_options, struct message *message)
{
    struct options options = {.source = OPTIONS_SOURCE, .store = "sqlite", .proctrack = "auto"};
    struct arguments arguments = {.count = argc, .next = 1, .all = argv};
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    bool only_positional = false;
    int r = 0;

    if (argc > 0)
        arguments.helper = strncmp(slash ? slash + 1 : argv[0], "mount.", 6) == 0;
    while (!r && arguments.next < argc) {
        const char *word = argv[arguments.next++];
        if (only_positional || word[0] != '-' || word[1] == '\0')
            r = take_positional(&arguments, word, message);
        else if (strcmp(word, "--") == 0)
            only_positional = true;
        else if (word[1] == '-')
            r = take_long(&options, &arguments, word, message);
        else
            r = take_short(&options, &arguments, word, message);
    }
    if (!r)
        r = finish(&options, &arguments, message);
    if (!r)
        *ret_options = options;
    return r;
}

void options_print_help(FILE *file)
{
    fprintf(file, "usage: chronosfs [OPTION]... MOUNTPOINT\n"
                  "       chronosfs --restore-device-access [--state-dir DIR]\n"
                  "       chronosfs --restore FILE [--any-machine] [--state-dir DIR]\n"
                  "       chronosfs --check-config FILE\n"
                  "Mounts a tree of files through which users share GPUs.\n\n");
    for (const struct option_row *row = options_rows; row->name; row++) {
        char left[64], text[512];
        const char *equals = strncmp(row->name, "-o ", 3) == 0 ? "=" : " ";
        snprintf(left, sizeof(left), "%s%s%s", row->name, row->argument ? equals : "",
                 row->argument ? row->argument : "");
        snprintf(text, sizeof(text), "%s%s%s%s", row->help, row->default_value ? " (default: " : "",
                 row->default_value ? row->default_value : "", row->default_value ? ")" : "");
        help_row(file, left, 27, text);
    }
    fprintf(file, "\nFor mount(8) and fstab: chronosfs SOURCE MOUNTPOINT -o OPTIONS\n"
                  "Exit status: 0 mounted, or ended cleanly; 1 failure; 2 usage error.\n");
}
