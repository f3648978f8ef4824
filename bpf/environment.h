// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Environment variables that make another program of the one that was judged: they load code, name start-up files or
// change where both are looked for. They are recorded, and they may not differ from what was judged.
// To add one: a line here. A name has at most 23 bytes.
#pragma once
#define ENVIRONMENT_NAMES(X)                                                                       \
    X("LD_PRELOAD")                                                                                \
    X("LD_AUDIT")                                                                                  \
    X("LD_LIBRARY_PATH")                                                                           \
    X("LD_CONFIG")                                                                                 \
    X("GCONV_PATH")                                                                                \
    X("LOCPATH")                                                                                   \
    X("NLSPATH")                                                                                   \
    X("BASH_ENV")                                                                                  \
    X("ENV")                                                                                       \
    X("SHELLOPTS")                                                                                 \
    X("BASHOPTS")                                                                                  \
    X("PROMPT_COMMAND")                                                                            \
    X("PS4")                                                                                       \
    X("ZDOTDIR")                                                                                   \
    X("NODE_OPTIONS")                                                                              \
    X("NODE_PATH")                                                                                 \
    X("PYTHONSTARTUP")                                                                             \
    X("PYTHONPATH")                                                                                \
    X("PYTHONHOME")                                                                                \
    X("PERL5OPT")                                                                                  \
    X("PERL5LIB")                                                                                  \
    X("PERL5DB")                                                                                   \
    X("RUBYOPT")                                                                                   \
    X("RUBYLIB")                                                                                   \
    X("PHPRC")                                                                                     \
    X("PHP_INI_SCAN_DIR")                                                                          \
    X("CLASSPATH")                                                                                 \
    X("LUA_INIT")                                                                                  \
    X("GIT_SSH_COMMAND")                                                                           \
    X("OPENSSL_CONF")                                                                              \
    X("JAVA_TOOL_OPTIONS")                                                                         \
    X("JDK_JAVA_OPTIONS")                                                                          \
    X("_JAVA_OPTIONS")                                                                             \
    X("GLIBC_TUNABLES")                                                                            \
    X("VIMINIT")
