# als_antibody with its default priors. Rscript antibody_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("antibody"))
own <- d$table[d$first, ]
tested <- own$arm == "treated"
seen <- tested & is.finite(own$onset_upper)
unseen <- tested & !seen
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, month = d$table$time, score = d$table$alsfrsr, treated = as.numeric(tested),
             n_seen = sum(seen), seen = which(seen), lower_end = own$onset_lower[seen], upper_end = own$onset_upper[seen],
             n_unseen = sum(unseen), last_test = own$onset_lower[unseen])
stopifnot(all(data$last_test >= d$table$time[d$last][unseen]))  # an onset after the last visit changes no score
found <- sampled("antibody", list(data), c("mean_level", "sd_level", "mean_slope", "sd_slope", "correlation", "sd_residual", "effect_before",
                                           "effect_after", "share_converting", "median_onset", "onset_shape"), iter = 1000, adapt_delta = 0.9)
write_reference("antibody_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
