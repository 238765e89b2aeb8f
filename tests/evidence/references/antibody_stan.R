# als_antibody with its default priors. Rscript antibody_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("antibody"))
one <- d$table[d$first, ]
month <- sort(unique(d$table$time))
treated <- as.integer(d$arm == "treated")
seen <- treated == 1 & is.finite(one$onset_upper)
never <- treated == 1 & !seen
stopifnot(d$rows == d$n * length(month), one$onset_lower[never] == max(month))
data <- list(n = d$n, visits = length(month), month = month, score = matrix(d$table$alsfrsr, d$n, byrow = TRUE), treated = treated,
             converter = ifelse(seen, cumsum(seen), 0L), converters = sum(seen), after = one$onset_lower[seen], by = one$onset_upper[seen],
             unseen = sum(never), negative_until = as.array(one$onset_lower[never]))
found <- sampled("antibody", list(data), c("mean_level", "sd_level", "mean_slope", "effect_before", "effect_after", "sd_slope", "correlation",
                                           "sd_residual", "share_converting", "median_onset", "onset_shape"))
write_reference("antibody_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
