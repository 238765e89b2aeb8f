# als_slope with its default priors, and with historical controls under each way to borrow. Rscript slopes_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

layout <- function(table, historical = 0, power = 1, scale = 1, wide = 1, weight = 0.5) {
  d <- by_subject(table)
  month <- sort(unique(table$time)); most <- length(month)
  score <- matrix(NA, d$n, most)
  score[cbind(d$subject, match(d$table$time, month))] <- d$table$alsfrsr
  visits <- rowSums(!is.na(score))
  stopifnot(!is.na(score[col(score) <= visits]))  # who leaves does not come back
  key <- interaction(d$arm, visits, drop = TRUE)
  groups <- lapply(levels(key), function(k) {
    i <- key == k; y <- score[i, seq_len(visits[i][1]), drop = FALSE]
    average <- colMeans(y); apart <- sweep(y, 2, average)
    all <- numeric(most); all[seq_along(average)] <- average
    scatter <- matrix(0, most, most); scatter[seq_along(average), seq_along(average)] <- crossprod(apart)
    list(arm = d$arm[i][1], visits = visits[i][1], n = sum(i), average = all, scatter = scatter)
  })
  of <- function(name) sapply(groups, `[[`, name)
  past <- as.numeric(of("arm") == "historical control")
  list(groups = length(groups), most = most, visits = of("visits"), month = month, n = of("n"), average = t(of("average")),
       scatter = aperm(simplify2array(lapply(groups, `[[`, "scatter")), c(3, 1, 2)), treated = as.numeric(of("arm") == "treated"),
       historical = historical * past, power = ifelse(past == 1, power, 1), scale = scale, wide = wide, weight = weight)
}

all <- table_of("slopes")
trial <- all[all$arm != "historical control", ]
cases <- list(slopes_stan = layout(trial), slopes_power = layout(all, power = 0.5),
              slopes_commensurate = layout(all, historical = 1, scale = 0.2, wide = 0.2),
              slopes_robust = layout(all, historical = 1, scale = 0.1, wide = 1, weight = 0.2))
common <- c("mean_level", "sd_level", "mean_slope", "slope_effect", "sd_slope", "correlation", "sd_residual")
found <- sampled("slopes", cases, c(common, "drift", "level_difference"), adapt_delta = 0.95)
for (name in names(cases)) {
  keep <- if (name %in% c("slopes_stan", "slopes_power")) common else names(found[[name]])
  write_reference(name, "same priors", by_stan(), found[[name]][keep], c("rstan", "posterior"))
}
