// SPDX-License-Identifier: Apache-2.0
// A batch says once what a process is. Of its further events that come in numbers (connections, flows, names, files) only
// id and name are written, and whoever reads the batch is given the rest back: by the last event before in the same
// batch that has it.
#pragma once
#include "base/arena.h"
#include "tiercel.pb-c.h"

// After unpacking. What is filled in is shared between events: the batch must live in one arena and is not to be freed
// by protobuf-c. Where the arena refuses, events stay as they were written.
void brief_fill(Tiercel__Batch *batch, struct arena *arena);
