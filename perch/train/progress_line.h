// The lines that the progress bar shows, apart from where they are shown.
#pragma once

#include <string>

#include <perch/train/callback.h>

namespace perch {

/// "epoch 2/20 [=====>    ]  8,120 images/s, 12 s left, loss 1.2345, accuracy 55.1 %": at most
/// `width` columns, the bar taking what the rest leaves. The time left is that of all epochs.
std::string progress_line(const TrainPlan& plan, const BatchResult& result, int width, bool color);

/// The same without a bar, with the number of batches done: for files.
std::string progress_note(const TrainPlan& plan, const BatchResult& result);

/// "epoch 2/20: loss 1.2345, accuracy 55.12 %, val_loss ..., val_accuracy ..., 8,120 images/s, 6 s"
std::string epoch_line(const TrainPlan& plan, const EpochResult& result);

}  // namespace perch
